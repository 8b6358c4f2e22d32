/**
 * Requests from their bytes to the bytes of their answers, in whichever thread: read, put into runs, run, written.
 * It must answer every request exactly once, whatever happens inside.
 */
import { reportOf } from '../errors.ts'
import type { InferenceRequest, ModelIdentity } from '../protocols/codec.ts'
import { decode } from '../protocols/codecs.ts'
import { textRoom } from '../protocols/textroom.ts'
import { noTimes, refuseLate, resultOf } from './answer.ts'
import { groupAsks } from './batch.ts'
import type { Engine } from './engine.ts'
import type { AskOrder, Result } from './messages.ts'
import { runTogether } from './together.ts'

export interface Decoded {
  readonly id: number
  readonly body: Uint8Array<ArrayBuffer>
  readonly request: InferenceRequest
  readonly decodeMs: number
}

/** What could be read of some requests, and the answers of those that are refused. All in the order of arrival. */
export interface Reading {
  readonly decoded: readonly Decoded[]
  readonly refused: readonly Result[]
  /** What is to be read when these have run, because they hold so much text. */
  readonly left: readonly AskOrder[]
}

/** Requests are read together until their texts take this part of what one may hold. */
const textsTogether = 0.25

export function readAsks(
  asks: readonly AskOrder[],
  model: ModelIdentity,
  now = (): number => performance.now(),
): Reading {
  const refused: Result[] = []
  const decoded: Decoded[] = []
  let texts = 0
  for (const [at, { id, wire, body, waitedMs }] of asks.entries()) {
    if (texts > textsTogether) return { decoded, refused, left: asks.slice(at) }
    const started = now()
    try {
      const request = decode(wire, body, model)
      refuseLate({ waitedMs }, request)
      texts += textRoom.used
      decoded.push({ id, body, request, decodeMs: now() - started })
    } catch (error) {
      const times = { ...noTimes, decodeMs: now() - started }
      refused.push({ id, ok: false, fault: reportOf(error), times })
    }
  }
  return { decoded, refused, left: [] }
}

/** One run that is over. */
export interface Done {
  readonly members: readonly Decoded[]
  /** One for each member. */
  readonly results: readonly Result[]
  /** Whether it failed as one run, so that its requests were run one by one. */
  readonly retried: boolean
}

/** Runs what fits together as one, up to `maxBatch` rows: one run for each step of whoever goes through them. */
export function* runAsks(
  engine: Engine,
  decoded: readonly Decoded[],
  maxBatch: number,
  now?: () => number,
): Generator<Done> {
  const runs = groupAsks(
    decoded.map(({ request }) => request),
    maxBatch,
  )
  for (const places of runs) {
    const members = places.flatMap((place) => decoded[place] ?? [])
    const requests = members.map(({ request }) => request)
    const { shares, retried } = runTogether(engine, requests, now)
    const results = members.map(({ id, request, decodeMs }, index): Result => {
      const share = shares[index]
      if (share === undefined) throw new Error('a run lost one of its requests')
      return resultOf(id, request, decodeMs, share)
    })
    yield { members, results, retried }
  }
}
