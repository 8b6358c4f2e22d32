// Clients that are large, many, slow or rude, and what the others notice of them.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { EnvoyAdmin } from '../../../router/envoy/admin.ts'
import { eventually } from '../operator/eventually.ts'
import { failures } from './load.ts'
import { openFraud } from './fraud.ts'

const { router, client, stable, share } = await openFraud()
router.pods([stable])
await share(0)

const open = async (): Promise<Socket> => {
  const socket = connect(router.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket.on('error', () => {})
}

/** However it ends: a reset is an end. */
const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => void socket.resume().once('close', () => resolve()))

describe('a client', () => {
  test('that sends 8 MB is answered, and every byte arrives', async () => {
    const body = Buffer.alloc(8 * 1024 * 1024)
    const answers = await client.many(4, 2, () => ({ body }))
    expect(failures(answers)).toEqual([])
    expect(answers.map((a) => (JSON.parse(a.body) as { bytes: number }).bytes)).toEqual(answers.map(() => body.length))
  })

  test('that sends its head byte by byte is cut off after ten seconds, and nobody waits for it', async () => {
    const slow = await Promise.all(Array.from({ length: 20 }, open))
    const ends = slow.map(gone)
    for (const socket of slow) socket.write('GET / HTTP/1.1\r\nhost: x\r\n')
    const dripping = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write('x-drip: 1\r\n')
    }, 500)
    expect(failures(await client.many(50))).toEqual([])
    await Promise.all(ends)
    clearInterval(dripping)
  })

  test('that never reads holds up nobody else', async () => {
    const deaf = await open()
    deaf.pause()
    for (let i = 0; i < 500; i += 1) deaf.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    expect(failures(await client.many(50))).toEqual([])
    deaf.destroy()
  })

  test('that opens ten thousand connections and does nothing takes nothing from the others', async () => {
    const idle: Socket[] = []
    // In parts: more at once than the listener's queue holds would be dropped and come again after a second.
    for (let n = 0; n < 10_000; n += 250) idle.push(...(await Promise.all(Array.from({ length: 250 }, open))))
    const admin = new EnvoyAdmin(router.folder)
    await eventually('Envoy has them all', async () => (await admin.connections()) >= 10_000)
    expect(failures(await client.many(100))).toEqual([])
    for (const socket of idle) socket.destroy()
    await eventually('they are gone', async () => (await admin.connections()) < 100)
    await admin.close()
  })

  test('that speaks no HTTP is sent away', async () => {
    const rude = await open()
    const ended = gone(rude)
    rude.write('\x16\x03\x01\x00\x05hello, this is not HTTP\r\n\r\n')
    await ended
    expect((await client.ask()).status).toBe(200)
  })
})
