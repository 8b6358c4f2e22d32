import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readData } from './data.ts'
import { readPlain } from './plain.ts'
import { JsonScanner } from './scanner.ts'

const padding = ' '.repeat(40)
const read = (text: string, count: number, shape = [count]): Float64Array => {
  // What follows the array lets the loop reach its end, as the rest of a request does.
  const scanner = new JsonScanner(Buffer.from(text + padding))
  const { data } = readData(scanner, 'data', 'x', 'FP64', shape)
  scanner.end()
  return data as Float64Array
}
/** The numbers, or `refused`. */
const outcome = (numbers: () => Iterable<number>): unknown => {
  try {
    return [...numbers()]
  } catch {
    return 'refused'
  }
}

const digits = (max: number): fc.Arbitrary<string> =>
  fc.array(fc.nat(9), { minLength: 1, maxLength: max }).map((each) => each.join(''))
const written = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.nat(99), digits(12)).map(([whole, rest]) => `${whole}.${rest}`) },
  { weight: 2, arbitrary: fc.nat().map(String) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('0', '-0', '0.0', '-0.0', '1e2', '0.00000000000000000000001', '123456789012'),
  },
)
const signed = fc
  .tuple(written, fc.boolean())
  .map(([text, minus]) => (minus && !text.startsWith('-') ? `-${text}` : text))
const separator = fc.constantFrom(',', ', ', ' ,', ',  ', ',\n')
const list = fc.array(fc.tuple(signed, separator), { minLength: 1, maxLength: 40 })
const textOf = (parts: readonly (readonly [string, string])[]): string =>
  `[${parts.map(([number, between], at) => number + (at === parts.length - 1 ? '' : between)).join('')}]`

test('numbers are those that JSON.parse gives, in whatever way they are written', () => {
  fc.assert(
    fc.property(list, (parts) => {
      const text = textOf(parts)
      expect([...read(text, parts.length)]).toEqual(JSON.parse(text))
    }),
    { numRuns: 1000 },
  )
})

test('nested rows are read as flat ones', () => {
  fc.assert(
    fc.property(list, fc.integer({ min: 1, max: 5 }), (parts, rows) => {
      const row = textOf(parts)
      const text = `[${Array.from({ length: rows }, () => row).join(',')}]`
      const expected = (JSON.parse(text) as number[][]).flat()
      expect([...read(text, expected.length, [rows, parts.length])]).toEqual(expected)
    }),
    { numRuns: 500 },
  )
})

test('a damaged list is accepted or refused as JSON.parse does', () => {
  const damage = fc.record({
    at: fc.nat(),
    what: fc.constantFrom('', ',', '0', '.', '-', 'e', ']', '[', ' ', '\n', '"'),
  })
  fc.assert(
    fc.property(list, damage, (parts, { at, what }) => {
      const text = textOf(parts)
      const place = at % text.length
      const broken = text.slice(0, place) + what + text.slice(place + 1)
      const parsed = outcome(() => JSON.parse(broken) as number[])
      const count = Array.isArray(parsed) ? parsed.length : parts.length
      // Numbers that no double can hold are refused, with the figure; JSON.parse makes them infinite.
      fc.pre(!Array.isArray(parsed) || parsed.every((each) => Number.isFinite(each)))
      expect(outcome(() => read(broken, count))).toEqual(parsed)
    }),
    { numRuns: 1000 },
  )
})

test('it stops in front of what is not plain, and within its bounds', () => {
  const stops = (text: string, to = 10): [number, string] => {
    const scanner = new JsonScanner(Buffer.from(text + padding))
    const count = readPlain(scanner, new Float64Array(10), 0, to)
    return [count, text.slice(scanner.at, scanner.at + 3)]
  }
  expect(stops('1, 2.5,-3,4e1,5,6]')).toEqual([3, '4e1'])
  expect(stops('1,2,3,4,5]', 2)).toEqual([2, '3,4'])
  expect(stops('1.,2,3]')).toEqual([0, '1.,'])
  expect(stops('01,2,3]')).toEqual([0, '01,'])
  expect(stops('1234567890,2]')).toEqual([0, '123'])
  expect(stops('1,2]')).toEqual([1, '2]'])
  const short = new JsonScanner(Buffer.from('1,2,3'))
  expect(readPlain(short, new Float64Array(3), 0, 3)).toBe(0)
})
