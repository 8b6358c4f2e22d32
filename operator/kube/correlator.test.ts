import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Correlator, type Decision, type Notice } from './correlator.ts'

const notice = (message: string, reason = 'Reason'): Notice => ({ type: 'Warning', reason, message })

/** Decides as the recorder does: what is to be created is written under its key. */
const decide = (correlator: Correlator, object: string, what: Notice, now: number): Decision => {
  const decision = correlator.decide(object, what, now)
  if (decision.do === 'create') correlator.written(decision.key, decision.key)
  return decision
}

describe('events', () => {
  test('the same again is counted on the first', () => {
    const correlator = new Correlator()
    const decisions = [1, 2, 3].map((now) => decide(correlator, 'a', notice('same'), now))
    expect(decisions.map((decision) => decision.do)).toEqual(['create', 'count', 'count'])
    expect(decisions[2]).toMatchObject({ count: 3, message: 'same' })
    expect(decide(correlator, 'b', notice('same'), 4).do).toBe('create')
    expect(decide(correlator, 'a', notice('same', 'Other'), 5).do).toBe('create')
  })

  test('after the first is gone the next is written anew', () => {
    const correlator = new Correlator()
    const first = decide(correlator, 'a', notice('same'), 0)
    if (first.do === 'create') correlator.gone(first.key)
    expect(decide(correlator, 'a', notice('same'), 1).do).toBe('create')
  })

  test('more than ten different ones of a kind are joined into one', () => {
    const correlator = new Correlator()
    const decisions = Array.from({ length: 14 }, (_, n) => decide(correlator, 'a', notice(`number ${n}`), n))
    expect(decisions.map((decision) => decision.do)).toEqual([
      ...Array<string>(11).fill('create'),
      'count',
      'count',
      'count',
    ])
    expect(decisions[10]).toMatchObject({ message: '(combined from similar events): number 10' })
    expect(decisions[13]).toMatchObject({ message: '(combined from similar events): number 13', count: 4 })
  })

  test('ten minutes without one of a kind, and they are told apart again', () => {
    const correlator = new Correlator()
    for (let n = 0; n < 12; n += 1) decide(correlator, 'a', notice(`number ${n}`), n)
    expect(decide(correlator, 'a', notice('later'), 600_012)).toMatchObject({ do: 'create', message: 'later' })
  })

  test('one object has a burst of 25, then one every five minutes; others are not held up by it', () => {
    const correlator = new Correlator()
    const many = Array.from({ length: 30 }, () => decide(correlator, 'a', notice('same'), 0).do)
    expect(many.filter((what) => what === 'drop')).toHaveLength(5)
    expect(decide(correlator, 'b', notice('same'), 0).do).toBe('create')
    expect(decide(correlator, 'a', notice('same'), 299_000).do).toBe('drop')
    expect(decide(correlator, 'a', notice('same'), 300_000).do).toBe('count')
    expect(decide(correlator, 'a', notice('same'), 300_001).do).toBe('drop')
  })

  test('no message is longer than the server takes', () => {
    const correlator = new Correlator()
    for (let n = 0; n < 12; n += 1) {
      const decision = decide(correlator, 'a', notice(`${n}${'x'.repeat(3000)}`), n)
      expect(decision).toMatchObject({ message: expect.stringMatching(/^.{1024}$/) })
    }
  })

  test('in any stretch of time an object never has more than the burst and what was refilled', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('x', 'y', 'z'), fc.nat({ max: 400_000 })), { maxLength: 200 }),
        (notices) => {
          const correlator = new Correlator()
          let now = 0
          let passed = 0
          for (const [message, later] of notices) {
            now += later
            if (decide(correlator, 'a', notice(message), now).do !== 'drop') passed += 1
            expect(passed).toBeLessThanOrEqual(25 + now / 300_000 + 1e-6)
          }
        },
      ),
    )
  })
})
