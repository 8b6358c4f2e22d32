// Clients that are large, many, slow or rude, and what the others notice of them.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectH2, type ClientHttp2Session } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { EnvoyAdmin } from '../../../router/envoy/admin.ts'
import { eventually } from '../operator/eventually.ts'
import { openCaller } from './calls.ts'
import { failures, openClient } from './load.ts'
import { openFraud } from './fraud.ts'
import { floodMessage, floodPath, inference } from './upstream.ts'

const { router, client, stable, share } = await openFraud()
router.pods([stable])
await share(0)

const open = async (): Promise<Socket> => {
  const socket = connect(router.port, '127.0.0.1')
  await once(socket, 'connect')
  return socket.on('error', () => {})
}

const mebibyte = 1024 * 1024

/** What Envoy's process takes, in bytes. */
const memory = async (): Promise<number> => {
  const [, kibibytes] = /VmRSS:\s+([0-9]+) kB/.exec(await readFile(`/proc/${router.envoy().pid}/status`, 'utf8')) ?? []
  return Number(kibibytes) * 1024
}

/** How often Envoy has stopped to take an answer from the pod, because the client takes none. */
const pausedReading = 'cluster.fraud/fraud-a/grpc.upstream_flow_control_paused_reading_total'

/** Asks for far more than it takes; resolves when the pod has begun to answer. */
const openDeaf = async (): Promise<ClientHttp2Session> => {
  const session = connectH2(`http://127.0.0.1:${router.port}`).on('error', () => {})
  const stream = session.request({
    ':method': 'POST',
    ':path': inference.stream.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.on('error', () => {}).pause()
  const head = Buffer.alloc(5)
  head.writeUInt32BE(floodMessage.length, 1)
  stream.write(Buffer.concat([head, Buffer.from(floodMessage)]))
  await once(stream, 'response')
  return session
}

/** However it ends: a reset is an end. */
const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => void socket.resume().once('close', () => resolve()))

describe('a client', () => {
  test.each([false, true])('that sends 8 MB is answered, and every byte arrives (h2c: %s)', async (h2c) => {
    const body = Buffer.alloc(8 * 1024 * 1024)
    const sender = openClient(router.port, { h2c })
    // One at a time: Node's HTTP/2 client refuses to hold more than 10 MB for a connection.
    const answers = await sender.many(3, 1, () => ({ body }))
    await sender.close()
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

  test('that never reads its answer holds some megabytes of it, and holds up nobody else', async () => {
    const before = await memory()
    const deaf = await Promise.all(Array.from({ length: 20 }, open))
    const { length: seen } = stable.seen
    for (const socket of deaf) socket.pause().write(`GET ${floodPath} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await eventually('the pod has begun to answer them all', () => stable.seen.length >= seen + deaf.length)
    expect(failures(await client.many(50))).toEqual([])
    // Of each 64 MiB.
    expect((await memory()) - before).toBeLessThan(deaf.length * 4 * mebibyte)
    for (const socket of deaf) socket.destroy()
  })

  test('that never reads its gRPC stream holds up no other call, though they share a connection to the pod', async () => {
    const caller = openCaller(router.port)
    const deaf: ClientHttp2Session[] = []
    const [before, paused] = [await memory(), await router.figure(pausedReading)]
    try {
      for (let i = 0; i < 8; i += 1) deaf.push(await openDeaf())
      await eventually('Envoy takes no more for them', async () => (await router.figure(pausedReading)) >= paused + 8)
      for (let i = 0; i < 20; i += 1) expect(await caller.infer()).toBe('fraud-a')
      expect((await memory()) - before).toBeLessThan(deaf.length * 4 * mebibyte)
    } finally {
      for (const session of deaf) session.destroy()
      caller.close()
    }
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
