import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import type grpc from '@grpc/grpc-js'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { healthClient, inferenceClient } from '../test/fixtures/grpc.ts'
import { repeatModel } from '../test/fixtures/onnx.ts'
import { call, infer, startServer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(240_000)

const tensors = (turns: number, times: number) => [
  { name: 'turns', datatype: 'INT64', shape: [], data: [turns] },
  { name: 'times', datatype: 'INT64', shape: [1], data: [times] },
  { name: 'x', datatype: 'BYTES', shape: [1], data: ['a'] },
]
const request = (turns: number, times: number): string => JSON.stringify({ inputs: tensors(turns, times) })
/** An answer of so many texts is more than the heap of a worker holds, below. */
const deadly = 1_000_000
const message = (turns: number, times: number): object => ({
  model_name: 'm',
  inputs: tensors(turns, times).map(({ data, ...tensor }) => ({
    ...tensor,
    contents:
      tensor.datatype === 'BYTES'
        ? { bytes_contents: data.map((each) => Buffer.from(String(each))) }
        : { int64_contents: data },
  })),
})
const unavailable = 14

let server: Server
beforeEach(async () => {
  // A pod with little memory, whatever this machine has. Who started how often is told by the log.
  server = await startServer(repeatModel(), { NODE_OPTIONS: '--max-old-space-size=64 --max-semi-space-size=1' })
})
afterEach(() => server.stop())

/** The server after so many crashes, on the ports that it has then. Resolves when it is ready. */
async function afterCrashes(crashes: number): Promise<Server> {
  for (;;) {
    const listening = server.log.filter((line) => line['event.action'] === 'listen')[crashes]
    const port = (field: string): string => `127.0.0.1:${String(listening?.[field])}`
    const found = {
      ...server,
      url: `http://${port('server.port')}`,
      grpcAddress: port('grpc.port'),
      metricsUrl: `http://${port('metrics.port')}/metrics`,
    }
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    if (listening !== undefined && (await call(found, '/v2/health/ready')).status === 200) return found
    await sleep(20) // oxlint-disable-line no-await-in-loop
  }
}

/** What is in the worker and what waits for it. */
async function load({ metricsUrl }: Server): Promise<{ inFlight: number; waiting: number }> {
  const state = await fetch(metricsUrl.replace('/metrics', '/state'))
  const { versions } = (await state.json()) as { versions: readonly { inFlight: number; waiting: number }[] }
  return versions[0] ?? { inFlight: 0, waiting: 0 }
}

/** Resolves when the load is as claimed: true; or when something ended before: false. */
async function comesTo(
  at: Server,
  claim: (found: { inFlight: number; waiting: number }) => boolean,
  end: Promise<unknown>,
) {
  const ended = end.then(() => 'ended' as const)
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    const found = await Promise.race([ended, load(at).catch(() => 'ended' as const)])
    if (found === 'ended') return false
    if (claim(found)) return true
  }
}

/**
 * A question for liveness, and half of another: its connection is busy, so a server that ends waits for the other half.
 * One on which nothing was ever asked would be closed a second later.
 */
async function halfQuestion({ url }: Server) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  const half = 'GET /v2/health/live HTTP/1.1\r\nhost: m\r\n'
  socket.write(`${half}\r\n`)
  await once(socket, 'readable')
  socket.write(half)
  const answers = text(socket)
  return { finish: () => (socket.write('\r\n'), answers) }
}

/** Everything that is asked while a worker dies. `together`: whether all of it waited when it died. */
async function askAndDie(at: Server, turns: number) {
  const [client, health] = [inferenceClient(at.grpcAddress), healthClient(at.grpcAddress)]
  const watch = health.raw['Watch']?.({ service: 'm' }) as grpc.ClientReadableStream<{ status: string }>
  const told: string[] = []
  watch.on('data', ({ status }: { status: string }) => told.push(status))
  const watchEnds = once(watch, 'error')
  await once(watch, 'data')
  const live = await halfQuestion(at)
  const died = infer(at, request(turns, deadly))
  const lived = died.then(() => live.finish())
  let together = await comesTo(at, ({ inFlight }) => inFlight === 1, died)
  // When it has ended already, nobody answers.
  const http = infer(at, request(0, 1)).catch(() => undefined)
  const called = client.call('ModelInfer', message(0, 1))
  together &&= await comesTo(at, ({ waiting }) => waiting === 2, died)
  const answers = { died: await died, http: await http, grpc: await called, live: await lived }
  await watchEnds
  client.close()
  health.close()
  return { together, answers, told }
}

test('a worker that dies: everybody is answered, health says so, and the server is soon there again', async () => {
  let crashes = 0
  // How long so many turns take is the machine's affair; in one of these runs there is time for others to wait.
  for (let turns = 1000; ; turns *= 4) {
    const { together, answers, told } = await askAndDie(await afterCrashes(crashes), turns) // oxlint-disable-line no-await-in-loop
    crashes += 1
    const reason = 'Worker terminated due to reaching memory limit: JS heap out of memory'
    const gone = `the inference worker is gone: ${reason}; try again in a second, because the server starts again`
    expect(answers.died).toMatchObject({ status: 503, body: { error: gone } })
    expect(answers.live).toMatch(/^HTTP\/1.1 200 OK[^]*HTTP\/1.1 503 Service Unavailable/)
    expect(answers.live).toContain(JSON.stringify({ live: false, reason }))
    expect(told).toEqual(['SERVING', 'NOT_SERVING'])
    if (!together) continue
    expect(answers.http).toMatchObject({ status: 503, body: { error: gone } })
    expect(answers.grpc).toMatchObject({ code: unavailable, details: gone })
    break
  }
  const again = await afterCrashes(crashes)
  expect((await call(again, '/v2/health/live')).status).toBe(200)
  expect(await infer(again, request(0, 2))).toMatchObject({ status: 200, body: { outputs: [{ data: ['a', 'a'] }] } })
  const client = inferenceClient(again.grpcAddress)
  expect(await client.call('ServerLive', {})).toMatchObject({ response: { live: true } })
  expect((await client.call('ModelInfer', message(0, 2))).code).toBe(0)
  client.close()
  expect(await (await fetch(again.metricsUrl)).text()).toContain(`\nslipway_server_crashes ${crashes}\n`)
  expect(server.log.find((line) => line['event.action'] === 'worker lost')?.message).toContain('JS heap out of memory')
})

test('a process that dies: who waits is told by its connection, and the server is soon there again', async () => {
  const first = await afterCrashes(0)
  const client = inferenceClient(first.grpcAddress)
  const lost = infer(first, request(1e9, 1)).catch(() => 'lost')
  await comesTo(first, ({ inFlight }) => inFlight === 1, lost)
  const called = client.call('ModelInfer', message(0, 1))
  expect(await comesTo(first, ({ waiting }) => waiting === 1, lost)).toBe(true)
  process.kill(Number(readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')), 'SIGKILL')
  expect(await lost).toBe('lost')
  expect((await called).code).toBe(unavailable)
  client.close()
  const again = await afterCrashes(1)
  expect(await infer(again, request(0, 1))).toMatchObject({ status: 200, body: { outputs: [{ data: ['a'] }] } })
})
