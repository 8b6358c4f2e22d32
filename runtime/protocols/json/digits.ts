/**
 * Writes whole numbers and float32 as decimal digits, in a loop without calls and strings: answers have them by the
 * thousand. A float32 gets the fewest of six to nine digits that read back to it; nobody needs more.
 */
import { char, powersOfTen } from './scanner.ts'

/** The most bytes that one number here takes. */
export const longestNumber = 24

/** Between these a float32 is scaled by powers of ten that are exact, or nearly. */
const least = 1e-36
const most = 1e9
/** Below this a number is written with an exponent. */
const leastPlain = Math.fround(1e-4)
/** The largest exact power of ten. */
const maxPower = 22
/** Two roundings of 2^-53 for what is scaled by two powers. */
const inexact = 2 ** -50

/** `00` to `99` as characters. */
const pairs = Uint8Array.from(
  { length: 200 },
  (_, at) => char.zero + (at % 2 === 0 ? Math.floor(at / 20) : (at >> 1) % 10),
)
/** Half of the distance to the next float32, by the eight bits of its exponent. */
const halfSteps = Float64Array.from({ length: 256 }, (_, exponent) => 2 ** (Math.max(1, exponent) - 151))
const single = new Float32Array(1)
const bitsOfSingle = new Uint32Array(single.buffer)

/** Writes a whole number from 0 to 2^32. @returns the place after it */
export function writeWhole(bytes: Uint8Array, at: number, value: number): number {
  const low = value < 1_000_000_000 ? value : value % 1_000_000_000
  const high = value === low ? 0 : Math.floor(value / 1_000_000_000)
  if (high > 0) {
    bytes[at] = char.zero + high
    writeDigits(bytes, at + 10, low, 9)
    return at + 10
  }
  const length = lengthOf(low)
  writeDigits(bytes, at + length, low, length)
  return at + length
}

/** How many digits a whole number below 2^31 has. */
function lengthOf(value: number): number {
  let length = 1
  for (let limit = 10; value >= limit && length < 10; limit *= 10) length += 1
  return length
}

/**
 * Writes a float32.
 * @returns the place after it, or 0 when it is one of those, very large or small ones and what is no number, that the
 * caller has to write
 */
export function writeSingle(bytes: Uint8Array, start: number, value: number): number {
  const magnitude = Math.abs(value)
  // Minus zero is not written here, nor NaN.
  if (!(magnitude >= least && magnitude < most)) return 0
  let at = start
  if (value < 0) bytes[at++] = char.minus
  if (Number.isInteger(magnitude)) return writeWhole(bytes, at, magnitude)
  single[0] = magnitude
  const exponent = (bitsOfSingle[0] ?? 0) >>> 23
  // Of 2^n the logarithm to the base of ten, rounded down; the number itself may have one more.
  let ten = ((exponent - 127) * 1233) >> 12
  if (magnitude >= powerOf(ten + 1)) ten += 1
  // With nine digits in front of its point.
  const places = 8 - ten
  const scaled = scale(magnitude, places)
  const half = scale(halfSteps[exponent] ?? 0, places)
  let dropped = 3
  let digits = 0
  for (; ; dropped -= 1) {
    if (dropped < 0) return 0
    const unit = powersOfTen[dropped] ?? 1
    digits = Math.floor(scaled / unit + 0.5) | 0
    const rounded = digits * unit
    if (Math.abs(rounded - scaled) <= half && readsBack(rounded, places, magnitude)) break
  }
  let after = places - dropped
  while (after > 0 && digits % 10 === 0) {
    digits = (digits / 10) | 0
    after -= 1
  }
  if (magnitude < leastPlain) return writeScientific(bytes, at, digits, after)
  const whole = after > 9 ? 0 : Math.floor(digits / (powersOfTen[after] ?? 1))
  at = writeWhole(bytes, at, whole)
  if (after === 0) return at
  bytes[at] = char.point
  at += 1 + after
  writeDigits(bytes, at, digits - whole * (powersOfTen[after] ?? 1), after)
  return at
}

/** Writes `digits` / 10^`after`, which is less than 1. */
function writeScientific(bytes: Uint8Array, start: number, digits: number, after: number): number {
  const length = lengthOf(digits)
  let at = start + length
  writeDigits(bytes, length === 1 ? at : at + 1, digits, length)
  if (length > 1) {
    // The first digit moves in front of the point.
    bytes[start] = bytes[start + 1] ?? 0
    bytes[start + 1] = char.point
    at += 1
  }
  bytes[at++] = char.lowerE
  bytes[at++] = char.minus
  return writeWhole(bytes, at, after - length + 1)
}

/** Writes the last `length` digits of a number below 2^31 so that they end at `end`. */
function writeDigits(bytes: Uint8Array, end: number, value: number, length: number): void {
  let at = end
  let left = length
  let rest = value | 0
  while (left >= 2) {
    const next = (rest / 100) | 0
    const pair = (rest - next * 100) << 1
    bytes[--at] = pairs[pair + 1] ?? 0
    bytes[--at] = pairs[pair] ?? 0
    rest = next
    left -= 2
  }
  if (left === 1) bytes[--at] = char.zero + (rest % 10)
}

/** Whether who reads `digits` / 10^`places` as a double and rounds that to a float32 gets this one. */
function readsBack(digits: number, places: number, wanted: number): boolean {
  // Both are exact, so the quotient is the double nearest to the decimal.
  if (places <= maxPower) return Math.fround(digits / (powersOfTen[places] ?? 1)) === wanted
  const value = digits / 1e22 / (powersOfTen[places - maxPower] ?? 1)
  const off = value * inexact
  return Math.fround(value - off) === wanted && Math.fround(value + off) === wanted
}

const scale = (value: number, places: number): number =>
  places <= maxPower ? value * (powersOfTen[places] ?? 1) : value * 1e22 * (powersOfTen[places - maxPower] ?? 1)

const powerOf = (exponent: number): number =>
  exponent >= 0
    ? (powersOfTen[exponent] ?? 1)
    : exponent >= -maxPower
      ? 1 / (powersOfTen[-exponent] ?? 1)
      : 1e-22 / (powersOfTen[-exponent - maxPower] ?? 1)
