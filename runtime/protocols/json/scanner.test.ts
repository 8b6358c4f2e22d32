import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../errors.ts'
import { JsonScanner, maxDepth } from './scanner.ts'

const scan = (text: string | Uint8Array): unknown => {
  const scanner = new JsonScanner(typeof text === 'string' ? Buffer.from(text) : text)
  const value = scanner.value(1)
  scanner.end()
  return value
}

/** The value, or `refused`: both readers in the same words. */
const outcome = (read: () => unknown): unknown => {
  try {
    return { value: read() }
  } catch {
    return 'refused'
  }
}

describe('the JSON scanner', () => {
  test('reads every document as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        expect(scan(text)).toEqual(JSON.parse(text))
      }),
      { numRuns: 500 },
    )
  })

  test('accepts and refuses damaged documents as JSON.parse does', () => {
    const damage = fc.record({
      at: fc.nat(),
      what: fc.constantFrom('', ',', '"', '[', '}', '1', '-', '.', 'e', '\\', '\u0001', ' '),
    })
    fc.assert(
      fc.property(fc.json({ maxDepth: 3 }), fc.array(damage, { minLength: 1, maxLength: 3 }), (text, damages) => {
        let broken = text
        for (const { at, what } of damages) {
          const place = at % (broken.length + 1)
          broken = broken.slice(0, place) + what + broken.slice(place + 1)
        }
        fc.pre(broken.isWellFormed())
        expect(outcome(() => scan(broken))).toEqual(outcome(() => JSON.parse(broken)))
      }),
      { numRuns: 3000 },
    )
  })

  test('rounds every way of writing a number as JSON.parse does', () => {
    const written = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc
        .tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 1, max: 25 }))
        .map(([value, digits]) => value.toPrecision(digits)),
      fc
        .tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.nat({ max: 20 }))
        .map(([value, digits]) => value.toExponential(digits)),
      fc
        .tuple(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }), fc.integer({ min: -400, max: 400 }))
        .map(([digits, power]) => `${digits}E${power}`),
      fc
        .tuple(fc.nat(), fc.bigInt({ min: 0n, max: 10n ** 30n }))
        .map(([whole, fraction]) => `-${whole}.${fraction}e+2`),
    )
    fc.assert(
      fc.property(written, (text) => {
        expect(scan(text)).toBe(JSON.parse(text))
      }),
      { numRuns: 5000 },
    )
  })

  test.each(['NaN', 'Infinity', '-Infinity'])('takes %s only where it is allowed', (token) => {
    expect(() => scan(token)).toThrow(Fault)
    expect(new JsonScanner(Buffer.from(token)).number(true)).toBe(Number(token))
    expect(() => new JsonScanner(Buffer.from('-NaN')).number(true)).toThrow(/not valid JSON/)
  })

  test('refuses nesting that would exhaust the stack', () => {
    const deep = '['.repeat(1_000_000)
    expect(() => scan(deep)).toThrow(`deeper than ${maxDepth} levels`)
    expect(() => new JsonScanner(Buffer.from(deep)).skip(1)).toThrow(`deeper than ${maxDepth} levels`)
  })

  test('refuses text that is not UTF-8, half surrogate pairs and a byte order mark', () => {
    expect(() => scan(Uint8Array.from([0x22, 0xc3, 0x28, 0x22]))).toThrow(/not UTF-8/)
    expect(() => scan(String.raw`"\ud800"`)).toThrow(/surrogate/)
    expect(scan(String.raw`"\ud83d\ude00"`)).toBe('😀')
    expect(() => scan('\uFEFF{}')).toThrow(/not valid JSON/)
  })

  test('says where a document is broken', () => {
    expect(() => scan('{"a":1,}')).toThrow('at byte 7')
    expect(() => scan('{"a":1} x')).toThrow('something follows the end')
    expect(() => scan('')).toThrow('the end of the body')
  })
})
