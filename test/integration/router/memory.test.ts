// What Envoy does when its memory becomes short: without it the kernel would end it, and every request with it.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { eventually } from '../operator/eventually.ts'
import { openFraud } from './fraud.ts'
import { failures } from './load.ts'
import { floodPath } from './upstream.ts'

const { router, client, stable, share } = await openFraud({ memoryBytes: 200 * 1024 * 1024 })
router.pods([stable])
await share(0)

/** How much of its heap Envoy uses, in percent. */
const pressure = (): Promise<number> => router.figure('overload.envoy.resource_monitors.fixed_heap.pressure')
const ended = (): Promise<number> => router.figure('http.model/fraud.downstream_rq_idle_timeout')

test('clients that never read, too many for its memory, are sent away, and users are served again', async () => {
  const deaf: Socket[] = []
  while ((await pressure()) < 85) {
    for (let i = 0; i < 5; i += 1) {
      const socket = connect(router.port, '127.0.0.1').on('error', () => {})
      await once(socket, 'connect')
      socket.pause().write(`GET ${floodPath} HTTP/1.1\r\nhost: x\r\n\r\n`)
      deaf.push(socket)
    }
    if (deaf.length > 1000) throw new Error(`${deaf.length} clients take ${await pressure()} % of its heap`)
    await sleep(100)
  }
  // Not all of them: the more room there is, the longer the rest may stay.
  await eventually(
    'as many of them are sent away as there has to be room',
    async () => (await ended()) > 0 && (await pressure()) < 80,
    async () => `${await ended()} of ${deaf.length} were, ${await pressure()} % are used`,
  )
  expect(router.envoy().isRunning()).toBe(true)
  expect(failures(await client.many(50))).toEqual([])
  for (const socket of deaf) socket.destroy()
})
