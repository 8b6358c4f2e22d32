// Durations: the examples of the docs, and that parsing and formatting undo each other.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { formatDuration, parseDuration } from './duration.ts'

const examples: readonly [string, number][] = [
  ['0ms', 0],
  ['500ms', 500],
  ['30s', 30_000],
  ['2m', 120_000],
  ['4h', 14_400_000],
  ['1h30m', 5_400_000],
]

describe('parseDuration', () => {
  test.each(examples)('%s is %i milliseconds', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds)
  })

  test('units add up in any order', () => {
    expect(parseDuration('30m1h500ms1s')).toBe(5_401_500)
  })

  test.each(['', '30', 's', '-1s', '1.5h', '1d', ' 1s', '1s ', '1h 30m', '1234567s', '1h1h1h1h1h'])(
    '"%s" is refused with an example of what to write',
    (text) => {
      expect(() => parseDuration(text)).toThrow(`"${text}" is not a duration: write numbers with units, such as 500ms`)
    },
  )
})

describe('formatDuration', () => {
  test.each([...examples.filter(([text]) => text !== '0ms'), ['0s', 0] as const])(
    '%s is the shortest text',
    (text, milliseconds) => {
      expect(formatDuration(milliseconds)).toBe(text)
    },
  )

  test('what it gives, parseDuration takes back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999 * 3_600_000 }), (milliseconds) => {
        expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds)
      }),
    )
  })

  test('a time that is over counts as zero', () => {
    expect(formatDuration(-5)).toBe('0s')
  })
})
