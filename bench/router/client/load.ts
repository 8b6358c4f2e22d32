// What is sent and what becomes of each request, in three protocols, without a retry of any kind. It counts everything:
// a request that is neither answered nor failed is a defect of this client.
import { open, type Protocol } from './protocols.ts'

export interface LoadOptions {
  readonly protocol: Protocol
  readonly host: string
  readonly port: number
  /** Ignored by gRPC. */
  readonly path: string
  readonly bodyBase64: string
  readonly contentHeaders: Readonly<Record<string, string>>
  /** Requests under way at once. */
  readonly workers: number
  readonly keepAlive: boolean
  /** Requests a second; 0 sends the next as soon as one is answered. */
  readonly rate: number
  /** Ends after so many requests; without it when it is told to. */
  readonly count?: number
  /** Each request gets this and its number as its x-request-id, and who answered which is told. */
  readonly idPrefix?: string
}

export interface Failure {
  /** When the request was sent and when it had failed, in milliseconds since the epoch. */
  readonly sentAt: number
  readonly at: number
  readonly error: string
}

export interface Summary {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  readonly byRevision: Readonly<Record<string, number>>
  readonly failures: readonly Failure[]
  readonly elapsedMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Answers to requests that were sent while a revision was forbidden, and how many of them it gave. */
  readonly checked: number
  readonly forbidden: number
  /** By revision, the numbers of the requests that it answered; only with an `idPrefix`. */
  readonly answered?: Readonly<Record<string, readonly number[]>>
}

export interface Load {
  /** From now on nobody may be answered by these; resolves when all that was sent before has ended. */
  forbid(revisions: readonly string[]): Promise<void>
  /** Sends nothing new. */
  stop(): void
  readonly done: Promise<Summary>
}

/** Failures beyond these are counted only. */
const maxFailuresKept = 5000

export const startLoad = (options: LoadOptions): Load => {
  const { workers, rate, count = Infinity, idPrefix } = options
  const connection = open(options)
  const latencies: number[] = []
  const byRevision: Record<string, number> = {}
  const answered: Record<string, number[]> = {}
  const failures: Failure[] = []
  const underWay = new Set<Promise<void>>()
  let [sent, ok, failed, checked, violations] = [0, 0, 0, 0, 0]
  let forbidden: readonly string[] = []
  let stopped = false
  const startedAt = performance.now()

  const sendOne = async (): Promise<void> => {
    const number = sent++
    const banned = forbidden
    const sentAt = Date.now()
    const began = performance.now()
    const id = idPrefix === undefined ? undefined : `${idPrefix}${number}`
    const { revision, error } = await connection.ask(id)
    if (error !== undefined) {
      failed += 1
      if (failures.length < maxFailuresKept) failures.push({ sentAt, at: Date.now(), error })
      return
    }
    ok += 1
    latencies.push(performance.now() - began)
    byRevision[revision] = (byRevision[revision] ?? 0) + 1
    if (idPrefix !== undefined) (answered[revision] ??= []).push(number)
    if (banned.length === 0) return
    checked += 1
    if (banned.includes(revision)) violations += 1
  }

  const isOver = (): boolean => stopped || sent >= count
  const tracked = (): Promise<void> => {
    const request = sendOne().finally(() => underWay.delete(request))
    underWay.add(request)
    return request
  }
  /** Each worker waits for its answer; with a rate also for its turn, so that a slow answer delays no other's. */
  const work = async (worker: number): Promise<void> => {
    for (let turn = worker; !isOver(); turn += workers) {
      if (rate > 0) await delay(startedAt + (turn / rate) * 1000 - performance.now())
      if (!isOver()) await tracked()
    }
  }

  const finish = async (): Promise<Summary> => {
    await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
    const elapsedMs = performance.now() - startedAt
    await connection.close()
    latencies.sort((a, b) => a - b)
    const at = (share: number): number => latencies[Math.max(0, Math.ceil(latencies.length * share) - 1)] ?? NaN
    return {
      sent,
      ok,
      failed,
      byRevision,
      failures,
      elapsedMs,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
      maxMs: at(1),
      checked,
      forbidden: violations,
      ...(idPrefix !== undefined && { answered }),
    }
  }
  return {
    forbid: async (revisions) => {
      forbidden = revisions
      await Promise.all(underWay)
    },
    stop: () => void (stopped = true),
    done: finish(),
  }
}

const delay = (ms: number): Promise<void> => (ms <= 0 ? Promise.resolve() : new Promise((r) => setTimeout(r, ms)))
