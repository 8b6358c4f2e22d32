import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ago, asSentence, bar, closed, paragraph, table, wrapped } from './layout.ts'

describe('lengths of time', () => {
  test.each([
    [-5, '0s'],
    [999, '0s'],
    [42_000, '42s'],
    [192_000, '3m12s'],
    [3_600_000, '1h'],
    [3_660_000, '1h1m'],
    [183_600_000, '2d3h'],
  ])('%d ms are %s', (ms, text) => {
    expect(ago(ms)).toBe(text)
  })
})

describe('bars', () => {
  test('a share of a thousandth is seen, and none is not', () => {
    expect(bar(0.001, 10)).toBe('█░░░░░░░░░')
    expect(bar(0, 10)).toBe('░░░░░░░░░░')
    expect(bar(1, 10)).toBe('██████████')
  })

  test('a bar is as wide as asked, whatever the share', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 2, noNaN: true }), fc.integer({ min: 1, max: 80 }), (share, width) => {
        expect(bar(share, width)).toHaveLength(width)
      }),
    )
  })
})

describe('sentences', () => {
  test('wrapping loses no word, and keeps to the width where words allow it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 }),
        fc.integer({ min: 12, max: 40 }),
        (words, width) => {
          const lines = wrapped(words.join(' '), width)
          expect(lines.join(' ').split(' ')).toEqual(words)
          expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
        },
      ),
    )
  })

  test('a phrase of the table becomes a sentence; a message that begins with a name keeps it', () => {
    expect(asSentence('raise the limit')).toBe('Raise the limit.')
    expect(asSentence('')).toBe('')
    expect(closed('fraud-1 was rejected')).toBe('fraud-1 was rejected.')
    expect(closed('All is said.')).toBe('All is said.')
  })

  test('the lines of a paragraph stand under its beginning', () => {
    expect(paragraph('to do', 'one two three four five six seven', 35)).toEqual([
      '  to do      one two three four five six',
      '             seven',
    ])
  })
})

test('a table has columns as wide as their widest cell, and no spaces at line ends', () => {
  expect(
    table(
      [
        ['A', 'B', ''],
        ['long', 'x', 'y'],
        ['', 'xx', ''],
      ],
      ' ',
    ),
  ).toEqual([' A     B', ' long  x   y', '       xx'])
})
