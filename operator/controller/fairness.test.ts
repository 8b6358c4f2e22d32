// Reconciles leave the event loop to others.
import { expect, test } from '@jest/globals'
import { silent } from '../telemetry/log.ts'
import { Controller } from './controller.ts'
import { lowPriority } from './workqueue.ts'

const spin = (ms: number): void => {
  for (const end = performance.now() + ms; performance.now() < end;) Math.sqrt(end)
}

test('looks that wait for nothing let others have their turn before all of them are done', async () => {
  const [keys, stop] = [200, new AbortController()]
  let done = 0
  const finished = Promise.withResolvers<void>()
  const controller = new Controller({
    name: 'c',
    log: silent,
    maxConcurrentReconciles: 10,
    reconcile: () => {
      spin(1)
      done += 1
      if (done === keys) finished.resolve()
      return Promise.resolve()
    },
  })
  for (let n = 0; n < keys; n += 1) controller.queue.add(`n/${n}`)
  let doneAtTurn = keys
  setImmediate(() => (doneAtTurn = done))
  const running = controller.run(stop.signal)
  await finished.promise
  stop.abort()
  await running
  expect(doneAtTurn).toBeLessThan(keys / 2)
})

test('while a change is in work, first looks leave the loop to it after each of them; else they do not', async () => {
  const [keys, stop] = [50, new AbortController()]
  let turns = 0
  const count = (): void => {
    turns += 1
    if (!stop.signal.aborted) setImmediate(count)
  }
  setImmediate(count)
  const change = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  let looks: number[] = []
  let finished = Promise.withResolvers<void>()
  const controller = new Controller({
    name: 'c',
    log: silent,
    maxConcurrentReconciles: 2,
    reconcile: (key) => {
      if (key === 'n/change') {
        begun.resolve()
        return change.promise
      }
      looks.push(turns)
      if (looks.length === keys) finished.resolve()
      return Promise.resolve()
    },
  })
  /** How often the loop turned between two looks, for all of them. */
  const lookAtAll = async (): Promise<number[]> => {
    looks = []
    finished = Promise.withResolvers<void>()
    for (let n = 0; n < keys; n += 1) controller.queue.add(`n/${n}`, { priority: lowPriority })
    await finished.promise
    return looks.slice(1).map((turn, n) => turn - (looks[n] ?? turn))
  }
  const running = controller.run(stop.signal)
  try {
    controller.queue.add('n/change')
    await begun.promise
    expect(Math.min(...(await lookAtAll()))).toBeGreaterThan(0)
    change.resolve()
    await until(() => !controller.queue.isHurried)
    expect(Math.min(...(await lookAtAll()))).toBe(0)
  } finally {
    change.resolve()
    stop.abort()
    await running
  }
})

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve))
}
