// Reconciles leave the event loop to others.
import { expect, test } from '@jest/globals'
import { silent } from '../telemetry/log.ts'
import { Controller } from './controller.ts'

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
