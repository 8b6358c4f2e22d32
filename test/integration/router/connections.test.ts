import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from '@jest/globals'
import { eventually } from '../operator/eventually.ts'
import { openFraud } from './fraud.ts'
import { failures } from './load.ts'

const most = 60
const { router, client, share } = await openFraud({ maxConnections: most })
await share(0)

test('connections beyond the limit are closed at once, those that are there are served, and the router stays ready', async () => {
  expect(failures(await client.many(20, 1))).toEqual([])
  const closed: Socket[] = []
  const sockets: Socket[] = []
  while (sockets.length < most + 20) {
    const socket = connect(router.port, '127.0.0.1').on('error', () => {})
    socket.resume().once('close', () => closed.push(socket))
    await once(socket, 'connect')
    sockets.push(socket)
  }
  await eventually('those beyond it are closed', () => closed.length >= 20)
  expect(failures(await client.many(50, 1))).toEqual([])
  expect(await router.agent().notReady()).toBeUndefined()
  for (const socket of sockets) socket.destroy()
  // And again they are taken.
  await eventually('new ones are taken', async () => {
    const socket = connect(router.port, '127.0.0.1').on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    const answered = await Promise.race([
      once(socket, 'data').then(
        () => true,
        () => false,
      ),
      once(socket, 'close').then(() => false),
    ])
    socket.destroy()
    return answered
  })
})
