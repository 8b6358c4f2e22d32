// A long life in short: mixed datatypes, shapes and forms, clients that go away, and a new version every few seconds.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startServer } from '../../test/fixtures/runtime.ts'
import { connectGet } from './lanes/http.ts'
import { inWords, type Sample } from './measure.ts'
import { memoryMib } from './processes.ts'
import { connect, invent, soakModel } from './soakrequests.ts'

const lanes = 8
const sampleMs = 5000
const reloadMs = 7000

/** One sample for every five seconds; `round` counts them, and answers to the wrong caller are among the failures. */
export async function soakSamples(forMs: number, report: (line: string) => void): Promise<readonly Sample[]> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-soak-'))
  const [file, versions] = [join(folder, 'model.onnx'), join(folder, 'versions.json')]
  writeFileSync(file, soakModel)
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
  const client = connect(server, lanes)
  const over = new AbortController()
  const seen = { answers: 0, failures: 0, failure: undefined as string | undefined, times: [] as number[] }
  const fail = (words: string): void => {
    seen.failures += 1
    seen.failure ??= words
  }
  const user = async (lane: number): Promise<void> => {
    for (let count = 0; !over.signal.aborted; count += 1) {
      const question = invent(lane, count)
      const patience = AbortSignal.timeout(question.leavesAfterMs ?? 30_000)
      const began = performance.now()
      // oxlint-disable-next-line no-await-in-loop -- a user asks again when answered
      const wrong = await client.ask(question, patience)
      if (wrong === undefined) {
        seen.answers += 1
        seen.times.push(performance.now() - began)
      } else if (question.leavesAfterMs === undefined || !patience.aborted) fail(wrong)
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
    await client.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return samples
}
