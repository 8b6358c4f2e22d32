// A long life in short: mixed datatypes, shapes and forms, clients that go away, and a new version every few seconds.
// Every request carries values of its own, so that an answer to somebody else is seen.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { onnxModel, type ElementType } from '../../test/fixtures/onnx.ts'
import { startServer } from '../../test/fixtures/runtime.ts'
import { connectGet } from './lanes/http.ts'
import { inWords, type Sample } from './measure.ts'
import { memoryMib } from './processes.ts'

const types = [
  ['FP32', 'FLOAT', Float32Array],
  ['FP64', 'DOUBLE', Float64Array],
  ['INT32', 'INT32', Int32Array],
  ['UINT8', 'UINT8', Uint8Array],
] as const satisfies readonly (readonly [string, ElementType, unknown])[]

/** `y_<TYPE>` is `x_<TYPE>`, with a batch dimension and a free one. */
const model = onnxModel({
  nodes: types.map(([type]) => ({ op: 'Identity', inputs: [`x_${type}`], outputs: [`y_${type}`] })),
  inputs: types.map(([type, element]) => ({ name: `x_${type}`, type: element, shape: ['batch', 'n'] })),
  outputs: types.map(([type, element]) => ({ name: `y_${type}`, type: element, shape: ['batch', 'n'] })),
})

const lanes = 8
const sampleMs = 5000
const reloadMs = 7000
/** Of 100 requests so many are given up before their answer. */
const disconnects = 5

/** One sample for every five seconds; `round` counts them, and answers to the wrong caller are among the failures. */
export async function soakSamples(forMs: number, report: (line: string) => void): Promise<readonly Sample[]> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-soak-'))
  const [file, versions] = [join(folder, 'model.onnx'), join(folder, 'versions.json')]
  writeFileSync(file, model)
  let version = 1
  const publish = (): void => {
    writeFileSync(
      `${versions}.new`,
      JSON.stringify({ current: `v${version}`, versions: [{ version: `v${version}`, file }] }),
    )
    renameSync(`${versions}.new`, versions)
  }
  publish()
  const server = await startServer(Buffer.alloc(0), { SLIPWAY_VERSIONS_FILE: versions, SLIPWAY_THREADS: 'Auto' })
  const agent = new Agent({ connections: lanes * 2 })
  const over = new AbortController()
  const seen = { answers: 0, failures: 0, failure: undefined as string | undefined, times: [] as number[] }
  const fail = (words: string): void => {
    seen.failures += 1
    seen.failure ??= words
  }
  const user = async (lane: number): Promise<void> => {
    for (let count = 0; !over.signal.aborted; count += 1) {
      const { body, headers, isAnswer, leaves } = invent(lane, count)
      const patience = leaves ? AbortSignal.timeout(1 + (count % 5)) : AbortSignal.timeout(30_000)
      const began = performance.now()
      try {
        // oxlint-disable-next-line no-await-in-loop -- a user asks again when answered
        const answer = await request(`${server.url}/v2/models/m/infer`, {
          method: 'POST',
          body,
          headers,
          dispatcher: agent,
          signal: patience,
        })
        const bytes = Buffer.from(await answer.body.arrayBuffer()) // oxlint-disable-line no-await-in-loop
        if (answer.statusCode !== 200) fail(`${answer.statusCode} ${bytes.toString('utf8').slice(0, 200)}`)
        else if (!isAnswer(bytes, Number(answer.headers['inference-header-content-length'] ?? 0)))
          fail('an answer with the values of somebody else')
        else {
          seen.answers += 1
          seen.times.push(performance.now() - began)
        }
      } catch (error) {
        if (!leaves) fail(error instanceof Error ? error.message : String(error))
      }
    }
  }
  const samples: Sample[] = []
  const live = connectGet(Number(new URL(server.url).port), '/v2/health/live')
  try {
    await server.ready()
    const users = Array.from({ length: lanes }, (_, lane) => user(lane))
    const reloads = setInterval(() => {
      version += 1
      publish()
    }, reloadMs)
    for (let round = 0; round < Math.round(forMs / sampleMs); round += 1) {
      await sleep(sampleMs) // oxlint-disable-line no-await-in-loop
      const asked = performance.now()
      await live.ask() // oxlint-disable-line no-await-in-loop
      const { answers, failures, failure, times } = seen
      const sorted = Float64Array.from(times).toSorted()
      const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
      const sample: Sample = {
        part: 'soak',
        subject: 'slipway',
        model: 'identity',
        form: 'none',
        connections: lanes,
        round,
        answers,
        failures,
        ...(failure === undefined ? {} : { failure }),
        rps: (answers * 1000) / sampleMs,
        p50: at(0.5),
        p99: at(0.99),
        max: at(1),
        cpuUs: NaN,
        memoryMib: memoryMib(server.pid),
        worstLiveMs: performance.now() - asked,
      }
      Object.assign(seen, { answers: 0, failures: 0, failure: undefined, times: [] })
      samples.push(sample)
      report(`soak, version v${version}, ${Math.round(sample.memoryMib)} MiB: ${inWords(sample)}`)
    }
    clearInterval(reloads)
    over.abort()
    await Promise.all(users)
  } finally {
    over.abort()
    live.close()
    await agent.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return samples
}

interface Invented {
  readonly body: Uint8Array
  readonly headers: Record<string, string>
  readonly isAnswer: (bytes: Buffer, headLength: number) => boolean
  /** Gives up before the answer. */
  readonly leaves: boolean
}

/** A request that nobody else makes, from its two numbers. */
function invent(lane: number, count: number): Invented {
  const [type, , kind] = types[(lane + count) % types.length] ?? types[0]
  // Mostly small; every 50th has some 100 KB.
  const [rows, columns] = count % 50 === 0 ? [2, 12_800] : [1 + (count % 3), 1 + (count % 7) * 5]
  const base = (lane * 31 + count * 7) % 251
  const data = kind.from(Array.from({ length: rows * columns }, (_, at) => (base + at) % 251))
  const shape = [rows, columns]
  const leaves = (lane * 13 + count * 29) % 100 < disconnects
  // Every input has to come; the others are as small as they may be.
  const others = types
    .filter(([other]) => other !== type)
    .map(([other]) => ({
      name: `x_${other}`,
      shape: [rows, 1],
      datatype: other,
      data: Array.from({ length: rows }, () => 0),
    }))
  const outputs = [{ name: `y_${type}` }]
  if (count % 2 === 0) {
    const own = { name: `x_${type}`, shape, datatype: type, data: Array.from(data) }
    const body = Buffer.from(JSON.stringify({ inputs: [own, ...others], outputs }))
    const isAnswer = (bytes: Buffer): boolean => {
      const { outputs: found } = JSON.parse(bytes.toString()) as { outputs: { data: number[] }[] }
      return found[0]?.data.length === data.length && found[0].data.every((value, at) => value === data[at])
    }
    return { body, headers: { 'content-type': 'application/json' }, isAnswer, leaves }
  }
  const tensor = Buffer.from(data.buffer)
  const own = { name: `x_${type}`, shape, datatype: type, parameters: { binary_data_size: tensor.length } }
  const binary = [{ name: `y_${type}`, parameters: { binary_data: true } }]
  const head = Buffer.from(JSON.stringify({ inputs: [own, ...others], outputs: binary }))
  const headers = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(head.length),
  }
  const isAnswer = (bytes: Buffer, headLength: number): boolean => tensor.equals(bytes.subarray(headLength))
  return { body: Buffer.concat([head, tensor]), headers, isAnswer, leaves }
}
