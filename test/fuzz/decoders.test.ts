import { expect, test } from '@jest/globals'
import { fuzzDecoders } from './decoders.ts'

test('20,000 mutated requests of every form are answered or refused in words, and many of both', () => {
  const { accepted, refused } = fuzzDecoders(1, 20_000)
  expect(accepted).toBeGreaterThan(3000)
  expect(refused.size).toBeGreaterThan(20)
})
