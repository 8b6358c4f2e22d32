import { expect, test } from '@jest/globals'
import { parseRetryAfter } from './retryafter.ts'

const now = Date.parse('2026-11-26T12:00:00Z')

test.each([
  ['0', 0],
  ['3', 3000],
  [' 3600 ', 3_600_000],
  ['Thu, 26 Nov 2026 12:00:07 GMT', 7000],
  // The moment is over by our clock: at once, and not never.
  ['Thu, 26 Nov 2026 11:59:00 GMT', 0],
])('Retry-After: %s is a wait of %i ms', (value, expected) => {
  expect(parseRetryAfter(value, now)).toBe(expected)
})

test.each(['', 'soon', '-1', '1.5', '2026-11-26', 'Thu, 99 Nov 2026'])('"%s" says nothing', (value) => {
  expect(parseRetryAfter(value, now)).toBeUndefined()
})
