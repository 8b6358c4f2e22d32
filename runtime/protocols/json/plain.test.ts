import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readData } from './data.ts'
import { readPlain } from './plain.ts'
import { JsonScanner } from './scanner.ts'

const padding = ' '.repeat(80)
const readAs = (
  datatype: 'FP32' | 'FP64',
  text: string,
  count: number,
  shape = [count],
): Float32Array | Float64Array => {
  // What follows the array lets the loop reach its end, as the rest of a request does.
  const scanner = new JsonScanner(Buffer.from(text + padding))
  const { data } = readData(scanner, 'data', 'x', datatype, shape)
  scanner.end()
  return data as Float32Array | Float64Array
}
const read = (text: string, count: number, shape = [count]): Float32Array | Float64Array =>
  readAs('FP64', text, count, shape)
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

/** Numbers as programs print a float32: with the digits of the double that it is, or with few. */
const singles = fc
  .float({ noNaN: true, noDefaultInfinity: true })
  .chain((value) =>
    fc.constantFrom(String(value), value.toExponential(), value.toPrecision(9), value.toExponential(16)),
  )

/** The float32 above a positive one. */
function above(value: number): number {
  const single = Float32Array.of(value)
  new Uint32Array(single.buffer)[0]! += 1
  return single[0] ?? NaN
}

/** Right in the middle between two neighbouring float32, or so near to it that only all of its digits tell the side. */
const between = fc
  .tuple(
    fc.float({ noNaN: true, min: Math.fround(1e-20), max: Math.fround(1e20) }),
    fc.constantFrom(0, 1, -1),
    fc.nat(30),
  )
  .map(([value, side, digits]) => {
    const middle = (value + above(value)) / 2
    // Seventeen digits name the double exactly; what is added stands behind them.
    const [mantissa = '', exponent = ''] = middle.toExponential(16).split('e')
    if (side < 0) return `${mantissa.slice(0, -1)}${Math.max(0, Number(mantissa.at(-1)) - 1)}e${exponent}`
    return side === 0 ? middle.toString() : `${mantissa}${'0'.repeat(digits % 4)}1e${exponent}`
  })

test('a float32 is the one that JSON.parse and rounding give, bit for bit', () => {
  const anything = fc.oneof({ weight: 3, arbitrary: singles }, { weight: 2, arbitrary: between }, signed)
  fc.assert(
    fc.property(fc.array(fc.tuple(anything, separator), { minLength: 1, maxLength: 40 }), (parts) => {
      const text = textOf(parts)
      const expected = Float32Array.from(JSON.parse(text) as number[])
      fc.pre(expected.every((each) => Number.isFinite(each)))
      const found = readAs('FP32', text, parts.length)
      expect(new Uint32Array(found.buffer)).toEqual(new Uint32Array(expected.buffer))
    }),
    { numRuns: 2000 },
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
  expect(stops('1, 2.5,-3,4e99,5,6]')).toEqual([3, '4e9'])
  expect(stops('1e5,1E-05,2.5e+3,4e,5]')).toEqual([3, '4e,'])
  expect(stops('1e-1,NaN,2]')).toEqual([1, 'NaN'])
  expect(stops('1e005,2]')).toEqual([0, '1e0'])
  expect(stops('1,2,3,4,5]', 2)).toEqual([2, '3,4'])
  expect(stops('1.,2,3]')).toEqual([0, '1.,'])
  expect(stops('01,2,3]')).toEqual([0, '01,'])
  expect(stops('1234567890,2]')).toEqual([0, '123'])
  expect(stops('1,2]')).toEqual([1, '2]'])
  const short = new JsonScanner(Buffer.from('1,2,3'))
  expect(readPlain(short, new Float64Array(3), 0, 3)).toBe(0)
})

test('a number that a float32 cannot hold is refused, however many digits it has', () => {
  for (const text of ['[1e39,2]', '[1.00000000000000000000e42,2]', '[-123456789.12345678901234567890e32,2]'])
    expect(() => readAs('FP32', text, 2)).toThrow('write numbers within')
  expect([...readAs('FP32', '[3.00000000000000000000e29,2]', 2)]).toEqual([Math.fround(3e29), 2])
})
