import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { growthBy } from '../../test/kit/collector.ts'
import { Pending } from './pending.ts'

describe('who waits for a worker', () => {
  test('is found once by the number given, whatever came and went; no number is given twice', () => {
    const step = fc.oneof(
      fc.constant({ do: 'add' } as const),
      fc.record({ do: fc.constant('take' as const), which: fc.nat() }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const pending = new Pending<string>()
        const given: number[] = []
        const model = new Map<number, string>()
        for (const one of steps) {
          if (one.do === 'add') {
            const id = pending.add(`request ${given.length}`)
            expect(given).not.toContain(id)
            model.set(id, `request ${given.length}`)
            given.push(id)
          } else {
            // Also those that were taken before.
            const id = given[one.which % Math.max(1, given.length)] ?? 1
            expect(pending.take(id)).toBe(model.get(id))
            model.delete(id)
          }
          expect(pending.size).toBe(model.size)
        }
        expect(pending.drain().toSorted()).toEqual([...model.values()].toSorted())
        expect(pending.size).toBe(0)
        for (const id of given) expect(pending.take(id)).toBeUndefined()
      }),
    )
  })

  test('is kept by nobody when the answer is there', () => {
    const pending = new Pending<{ readonly notes: readonly number[] }>()
    const waiting: number[] = []
    let passed = 0
    const growth = growthBy(() => {
      for (const until = passed + 100; passed < until; passed += 1) {
        waiting.push(pending.add({ notes: Array.from({ length: 128 }, (_, at) => at + passed) }))
        if (waiting.length > 4) pending.take(waiting.shift() ?? 0)
      }
    })
    // 4,000 of a kilobyte each have been answered; a few wait.
    expect(pending.size).toBe(4)
    expect(growth).toBeLessThan(1_000_000)
  })
})
