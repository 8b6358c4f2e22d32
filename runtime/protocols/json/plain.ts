/**
 * The common case of a tensor in JSON, many decimal numbers one after another, in a loop without calls: reading an image
 * takes less time than its model then. It must give the very number that JSON.parse gives, rounded to the datatype, and
 * leave to the scanner whatever is not plain: very long numbers, very large ones, tokens, line breaks, mistakes.
 *
 * Digits after the point are taken four at a time, as one word of 32 bits.
 * @see https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/
 */
import { char, powersOfTen, type JsonScanner } from './scanner.ts'

/** No plain number takes so many bytes with its sign, exponent and comma; so far from the end no byte needs to be checked. */
const longest = 64
/** One more digit and the digits before the point still are an integer of 31 bits, which V8 computes with fastest. */
const wholeLimit = 100_000_000
/** Powers of ten up to this are exact. */
const maxPower = 22
/** Larger ones may be more than a datatype holds, which the scanner's caller says. */
const maxValue = 1e30
/** What digits that a double cannot hold, and an inexact power, do to a value at most: some ten roundings of 2^-53 each. */
const inexact = 2 ** -48

/** Powers of ten for one to three digits. */
const small = [1, 10, 100, 1000] as const
const zeros = 0x30303030

/**
 * Reads numbers from the scanner's place on, each with the comma behind it, as long as they are plain.
 * @param to where to stop in the target
 * @returns how many were read; the scanner stands in front of the element after them
 */
export function readPlain(scanner: JsonScanner, data: Float32Array | Float64Array, from: number, to: number): number {
  const { bytes, words } = scanner
  const single = data instanceof Float32Array
  const end = bytes.length - longest
  let index = from
  let at = scanner.at
  while (index < to && at < end) {
    let next = at
    let byte = bytes[next] ?? 0
    if (byte === 0x20) byte = bytes[++next] ?? 0
    // Whether it is a minus, without a branch: nobody could guess it.
    const minus = ((byte ^ char.minus) - 1) >>> 31
    next += minus
    let digit = (bytes[next] ?? 0) - char.zero
    if (digit < 0 || digit > 9) break
    let whole = digit
    byte = bytes[++next] ?? 0
    digit = byte - char.zero
    // A zero must not be followed by a digit; the scanner says so.
    while (digit >= 0 && digit <= 9 && whole !== 0 && whole < wholeLimit) {
      whole = (whole * 10 + digit) | 0
      byte = bytes[++next] ?? 0
      digit = byte - char.zero
    }
    let value = whole
    if (byte !== char.comma) {
      let mantissa = whole
      let power = 0
      if (byte === char.point) {
        const first = ++next
        let word = words.getInt32(next, true) ^ zeros
        // A byte that is a digit is 0 to 9 now, so neither it nor it and six has a bit in its upper half.
        let others = (word | (word + 0x06060606)) & 0xf0f0f0f0
        while (others === 0 && next - first < maxPower - 2) {
          word = (Math.imul(word, 10) + (word >>> 8)) & 0x00ff00ff
          mantissa = mantissa * 10_000 + ((Math.imul(word, 100) + (word >>> 16)) & 0xffff)
          next += 4
          word = words.getInt32(next, true) ^ zeros
          others = (word | (word + 0x06060606)) & 0xf0f0f0f0
        }
        if (others === 0) break
        // The digits in front of the first byte that is none, with zeros in front of them.
        const count = (31 - Math.clz32(others & -others)) >> 3
        word = (word << (24 - 8 * count)) << 8
        word = (Math.imul(word, 10) + (word >>> 8)) & 0x00ff00ff
        mantissa = mantissa * (small[count] ?? 1) + ((Math.imul(word, 100) + (word >>> 16)) & 0xffff)
        next += count
        if (next === first) break
        power = first - next
        byte = bytes[next] ?? 0
      }
      if (byte === char.lowerE || byte === char.upperE) {
        byte = bytes[++next] ?? 0
        const down = byte === char.minus
        if (down || byte === char.plus) byte = bytes[++next] ?? 0
        digit = byte - char.zero
        if (digit < 0 || digit > 9) break
        let exponent = digit
        byte = bytes[++next] ?? 0
        digit = byte - char.zero
        if (digit >= 0 && digit <= 9) {
          exponent = exponent * 10 + digit
          byte = bytes[++next] ?? 0
        }
        power += down ? -exponent : exponent
      }
      let exact = mantissa <= Number.MAX_SAFE_INTEGER
      if (power < -maxPower) {
        if (power < -2 * maxPower) break
        // The larger part of the power is divided by below; a mantissa of zero stays one.
        mantissa /= 1e22
        power += maxPower
        exact = false
      }
      // Both operands are exact doubles, so one multiplication or division rounds correctly (Clinger's fast path).
      if (power < 0) value = mantissa / (powersOfTen[-power] ?? 1)
      else if (power <= maxPower) value = mantissa * (powersOfTen[power] ?? 1)
      else break
      if (value > maxValue) break
      if (!exact) {
        // The nearest float32 is known when all that the value may be is nearest to it.
        const off = value * inexact
        if (!single || Math.fround(value - off) !== Math.fround(value + off)) break
      }
      if (byte !== char.comma) break
    }
    data[index] = (1 - 2 * minus) * value
    index += 1
    at = next + 1
  }
  scanner.at = at
  return index - from
}
