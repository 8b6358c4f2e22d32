/**
 * Half-precision floats (IEEE 754 binary16) as the 16-bit patterns that tensors hold.
 * It must round to nearest, ties to even, straight from the double: rounding twice gives wrong last bits.
 */

/** The largest finite half. Doubles from 65520 up round to infinity. */
export const maxHalf = 65_504

const scratch = new DataView(new ArrayBuffer(8))

/** The nearest half of a double. NaN becomes the quiet NaN 0x7e00. */
export function toHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= 65_520) return sign | 0x7c00
  // Halves below 2^-14 lie 2^-24 apart; the division by a power of two is exact.
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24)
  const exponent = exponentOf(magnitude)
  // The significand as 1024..2048; a carry to 2048 moves into the exponent by itself.
  return sign | (((exponent + 14) << 10) + roundToEven(magnitude * 2 ** (10 - exponent)))
}

/** The exact value of a half. */
export function fromHalf(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

function roundToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest > 0.5 ? floor + 1 : floor
  return floor % 2 === 0 ? floor : floor + 1
}

/** The unbiased exponent of a normal positive double. */
function exponentOf(value: number): number {
  scratch.setFloat64(0, value)
  return ((scratch.getUint16(0) >> 4) & 0x7ff) - 1023
}
