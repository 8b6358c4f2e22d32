import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { BodyMemory, leastReused } from './bodymemory.ts'

const mib = 2 ** 20

test('memory that was given back takes the next body that fits, the warmest first', () => {
  const memory = new BodyMemory(64 * mib)
  const [one, two] = [memory.take(mib), memory.take(mib)]
  memory.give(one)
  memory.give(two)
  expect(memory.take(mib - 1000)).toBe(two)
  expect(memory.take(mib)).toBe(one)
  expect(memory.take(mib)).not.toBe(one)
})

test('a small body takes no large memory', () => {
  const memory = new BodyMemory(64 * mib)
  const large = memory.take(mib)
  memory.give(large)
  expect(memory.take(leastReused)).not.toBe(large)
  expect(memory.take(100).byteLength).toBe(100)
})

test('what lies ready stays within its limit, and what lay longest makes room', () => {
  const memory = new BodyMemory(2 * mib)
  const [one, two, three] = [memory.take(mib), memory.take(mib), memory.take(mib)]
  for (const each of [one, two, three]) memory.give(each)
  expect(memory.freeBytes).toBe(2 * mib)
  expect([memory.take(mib), memory.take(mib)]).toEqual([three, two])
  memory.give(new ArrayBuffer(3 * mib))
  expect(memory.freeBytes).toBe(0)
})

test('what makes room is free at once', () => {
  const memory = new BodyMemory(mib)
  const [one, two] = [memory.take(mib), memory.take(mib)]
  memory.give(one)
  memory.give(two)
  expect([one.byteLength, two.byteLength]).toEqual([0, mib])
})

test("answers are not kept, whoever's bodies are still away, and are free at once", () => {
  const memory = new BodyMemory(64 * mib)
  // Of three clients two went away, and their bodies never came back.
  const [body] = [memory.take(mib), memory.take(mib), memory.take(mib)]
  const answer = new ArrayBuffer(25_600 * 12)
  memory.give(answer)
  memory.give(body)
  expect(memory.freeBytes).toBe(mib)
  expect([body.byteLength, answer.byteLength]).toEqual([mib, 0])
  expect(memory.take(mib)).toBe(body)
})

test('nobody gets memory that another still has, and everybody gets enough', () => {
  const steps = fc.array(fc.oneof(fc.nat(4 * mib), fc.constant('give' as const)), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (plan) => {
      const memory = new BodyMemory(8 * mib)
      const held: ArrayBuffer[] = []
      for (const step of plan) {
        if (step === 'give') {
          const first = held.shift()
          if (first !== undefined) memory.give(first)
          continue
        }
        const taken = memory.take(step)
        expect(taken.byteLength).toBeGreaterThanOrEqual(step)
        expect(held.includes(taken)).toBe(false)
        held.push(taken)
        expect(memory.freeBytes).toBeLessThanOrEqual(8 * mib)
      }
    }),
    { numRuns: 200 },
  )
})
