/**
 * The common case of a tensor in JSON, many short decimal numbers one after another, in a loop without calls: reading an
 * image takes less time than its model then. It must give the very number that the scanner gives, and leave to the scanner
 * whatever is not plain: exponents, long mantissas, tokens, line breaks, mistakes.
 */
import { char, powersOfTen, type JsonScanner } from './scanner.ts'

/** A plain number, its sign, point and comma take no more bytes; so far from the end no byte needs to be checked. */
const longest = 32
/** One more digit and the mantissa is still an integer of 31 bits, which V8 computes with fastest. */
const mantissaLimit = 100_000_000
/** Powers of ten up to this are exact, so a division rounds once (Clinger's fast path). */
const maxDigits = 20

/**
 * Reads numbers from the scanner's place on, each with the comma behind it, as long as they are plain.
 * @param to where to stop in the target
 * @returns how many were read; the scanner stands in front of the element after them
 */
export function readPlain(scanner: JsonScanner, data: Float32Array | Float64Array, from: number, to: number): number {
  const { bytes } = scanner
  const end = bytes.length - longest
  let index = from
  let at = scanner.at
  read: while (index < to && at < end) {
    let next = at
    let byte = bytes[next] ?? 0
    if (byte === 0x20) byte = bytes[++next] ?? 0
    const negative = byte === char.minus
    if (negative) byte = bytes[++next] ?? 0
    let mantissa = byte - char.zero
    if (mantissa < 0 || mantissa > 9) break
    byte = bytes[++next] ?? 0
    let digit = byte - char.zero
    // A zero must not be followed by a digit; the scanner says so.
    while (digit >= 0 && digit <= 9) {
      if (mantissa === 0 || mantissa >= mantissaLimit) break read
      mantissa = (mantissa * 10 + digit) | 0
      byte = bytes[++next] ?? 0
      digit = byte - char.zero
    }
    let value = mantissa
    if (byte === char.point) {
      const first = ++next
      byte = bytes[next] ?? 0
      digit = byte - char.zero
      while (digit >= 0 && digit <= 9) {
        if (mantissa >= mantissaLimit || next - first === maxDigits) break read
        mantissa = (mantissa * 10 + digit) | 0
        byte = bytes[++next] ?? 0
        digit = byte - char.zero
      }
      if (next === first) break
      value = mantissa / (powersOfTen[next - first] ?? 1)
    }
    if (byte !== char.comma) break
    data[index] = negative ? -value : value
    index += 1
    at = next + 1
  }
  scanner.at = at
  return index - from
}
