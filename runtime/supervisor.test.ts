import { describe, expect, jest, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { identityModel } from '../test/fixtures/onnx.ts'
import { infer, startServer } from '../test/fixtures/runtime.ts'
import { judge } from './supervisor.ts'

jest.setTimeout(120_000)

describe('the end of a server', () => {
  const serving = { wasReady: true, stopping: false, crashes: [], now: 1_000_000 }
  test.each([
    ['by a crash, after it was ready', { code: 134, signal: null }, serving, { do: 'restart', inMs: 100 }],
    ['by a kill', { code: null, signal: 'SIGKILL' }, serving, { do: 'restart', inMs: 100 }],
    [
      'by a third crash',
      { code: 1, signal: null },
      { ...serving, crashes: [999_000, 999_500] },
      { do: 'restart', inMs: 400 },
    ],
    [
      'by a crash long after others',
      { code: 1, signal: null },
      { ...serving, crashes: [1, 2, 3, 4, 5] },
      { do: 'restart', inMs: 100 },
    ],
    [
      'by a sixth crash',
      { code: 1, signal: null },
      { ...serving, crashes: [1, 2, 3, 4, 5].map((n) => 999_000 + n) },
      { do: 'exit', code: 1 },
    ],
    ['before it was ready', { code: 1, signal: null }, { ...serving, wasReady: false }, { do: 'exit', code: 1 }],
    [
      'by a signal that was passed on',
      { code: 0, signal: null },
      { ...serving, stopping: true },
      { do: 'exit', code: 0 },
    ],
    [
      'by a crash while stopping',
      { code: null, signal: 'SIGSEGV' },
      { ...serving, stopping: true },
      { do: 'exit', code: 139 },
    ],
    [
      'by a signal that came before its handlers',
      { code: null, signal: 'SIGTERM' },
      { ...serving, wasReady: false, stopping: true },
      { do: 'exit', code: 0 },
    ],
    [
      'by an abort before it was ready',
      { code: null, signal: 'SIGABRT' },
      { ...serving, wasReady: false },
      { do: 'exit', code: 134 },
    ],
    ['by itself', { code: 0, signal: null }, serving, { do: 'exit', code: 0 }],
  ] as const)('%s', (_name, ending, state, verdict) => {
    expect(judge(ending, state)).toEqual(verdict)
  })
})

const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
const request = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[2]}]}'

describe('a server that is killed', () => {
  test('is there again, in the same container, and says how often', async () => {
    // The second start needs the ports of the first.
    const first = await startServer(identityModel('FLOAT'))
    const [http, metrics] = [first.url, first.metricsUrl].map((url) => new URL(url).port)
    await first.stop()
    const server = await startServer(identityModel('FLOAT'), {
      SLIPWAY_HTTP_PORT: http ?? '',
      SLIPWAY_METRICS_PORT: metrics ?? '',
    })
    await server.ready()
    expect((await infer(server, request)).status).toBe(200)
    const killed = childOf(server.pid)
    process.kill(killed, 'SIGKILL')
    const answers = async () => {
      const answer = await infer(server, request).catch(() => undefined)
      return answer?.status === 200
    }
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    while (!(childOf(server.pid) > 0) || childOf(server.pid) === killed || !(await answers())) await sleep(20)
    expect(await server.metric('slipway_server_crashes')).toBe(1)
    expect(server.log.find((line) => line['event.action'] === 'restart')?.message).toContain('ended by SIGKILL')
    server.signal('SIGTERM')
    expect(await server.finished).toEqual({ code: 0, signal: null })
  })

  test('starts again and answers although nobody reads its log any more', async () => {
    const first = await startServer(identityModel('FLOAT'))
    const { port } = new URL(first.url)
    await first.stop()
    const server = await startServer(identityModel('FLOAT'), { SLIPWAY_HTTP_PORT: port, SLIPWAY_ACCESS_LOG_RATIO: '1' })
    await server.ready()
    server.deafen()
    const serving = childOf(server.pid)
    for (let count = 0; count < 3; count++) {
      // oxlint-disable-next-line no-await-in-loop -- each writes a line that nobody reads
      expect((await infer(server, request)).status).toBe(200)
    }
    expect(childOf(server.pid)).toBe(serving)
    // Now the supervisor has something to say.
    process.kill(serving, 'SIGKILL')
    const answers = async () => (await infer(server, request).catch(() => undefined))?.status === 200
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    while (childOf(server.pid) === serving || !(await answers())) await sleep(20)
    server.signal('SIGTERM')
    expect(await server.finished).toEqual({ code: 0, signal: null })
    await server.stop()
  })

  test('with its supervisor does not stay behind', async () => {
    const server = await startServer(identityModel('FLOAT'))
    await server.ready()
    const child = childOf(server.pid)
    server.signal('SIGKILL')
    const lives = () => {
      try {
        return process.kill(child, 0)
      } catch {
        return false
      }
    }
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    while (lives()) await sleep(20)
    expect((await server.finished).signal).toBe('SIGKILL')
    await server.stop()
  })
})
