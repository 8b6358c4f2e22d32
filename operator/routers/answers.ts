// What the routers of a namespace say, turned into what a rollout may know of one ModelDeployment: who has applied its
// epoch, and what each revision was sent since. Pure; counters that start again never count twice or below zero.
import type { AppliedShares, ModelTraffic, RevisionTraffic, RouterState } from '../api/routerstate.ts'
import type { Judgement } from './shares.ts'

/** Finished requests, those of them that failed, and those that were drawn by weight: that named no revision. */
export interface Calls {
  readonly requests: number
  readonly failures: number
  readonly drawn: number
}

/** A router pod as it was asked last. */
export interface Answer {
  /** The pod's name. */
  readonly router: string
  /** Whether its pod is ready: only then new connections reach it. */
  readonly ready: boolean
  /** It is on its way out: it need not apply anything any more. */
  readonly terminating: boolean
  /** It has served before, as far as this process knows: it may still hold connections, though it does not answer. */
  readonly hasServed: boolean
  /** Unset when it did not answer. */
  readonly state?: RouterState
  /** Why it did not answer. */
  readonly error?: string
}

/** All routers of a namespace at one moment. */
export type Answers = readonly Answer[]

/** A ModelDeployment and the traffic setting that is asked about. */
export interface Setting {
  readonly uid: string
  readonly epoch: number
}

/** A router that users may reach, as far as one ModelDeployment is concerned. */
export interface RouterFacts {
  readonly name: string
  /** The epoch that it has applied; unset before the first, and while it cannot be asked. */
  readonly epoch?: number
  /** What that epoch asked of it. */
  readonly applied?: AppliedShares
  /** The revision that it sends the largest share to. */
  readonly serving?: string
  /** How many ready endpoints of that revision it sees. */
  readonly reaches?: number
  /** Why it has not applied what it was asked to, in a sentence. */
  readonly problem?: string
}

/**
 * The routers that users may reach. One that has never worked (its image cannot be pulled, say) reaches nobody and is
 * left out, so that a failed upgrade of routers stops no rollout; one that has is kept until its pod is going.
 */
export const routerFacts = (answers: Answers, uid: string): RouterFacts[] =>
  answers
    .filter(({ terminating, ready, hasServed }) => !terminating && (ready || hasServed))
    .map((answer): RouterFacts => {
      const model = modelOf(answer, uid)
      const serving = model?.revisions.toSorted((a, b) => b.weight - a.weight)[0]
      const problem = answer.error ?? model?.problem
      return {
        name: answer.router,
        ...(model?.appliedEpoch !== undefined && { epoch: model.appliedEpoch }),
        ...(model?.applied && { applied: model.applied }),
        ...(serving !== undefined &&
          serving.weight > 0 && { serving: serving.revision, reaches: serving.readyEndpoints }),
        ...(problem !== undefined && { problem }),
      }
    })

/** True when there are routers and all have applied the epoch, or a later one. */
export const isAcknowledged = (routers: readonly RouterFacts[], epoch: number): boolean =>
  routers.length > 0 && routers.every((router) => (router.epoch ?? -1) >= epoch)

/** What was counted in one epoch so far. */
export interface Tally extends Setting {
  /** By revision, over all routers. */
  readonly calls: Readonly<Record<string, Calls>>
  /** The counters as they stood last, by router and start of its Envoy. */
  readonly marks: Readonly<Record<string, Readonly<Record<string, Calls>>>>
  /** When the count began, in milliseconds since the epoch: with the setting, or anew when this process started later. */
  readonly since?: number
  /** What was made of it last; made by `Routers`. */
  readonly judgement?: Judgement
  /** Why the count may lack something, in a sentence. */
  readonly missing?: string
}

/**
 * The count, carried on to these answers. It begins at the first answers that show the epoch on every router, and
 * begins anew with another epoch; undefined before. A router that is new, or whose Envoy started again, is counted
 * from its first answer on: what it did before may belong to another epoch.
 */
export const tallied = (before: Tally | undefined, setting: Setting, answers: Answers): Tally | undefined => {
  const { uid, epoch } = setting
  const same = before?.uid === uid && before.epoch === epoch ? before : undefined
  if (same === undefined && !isAcknowledged(routerFacts(answers, uid), epoch)) return undefined
  const calls: Record<string, Calls> = { ...same?.calls }
  const marks: Record<string, Readonly<Record<string, Calls>>> = { ...same?.marks }
  for (const answer of answers) {
    const model = modelOf(answer, uid)
    if (answer.state === undefined || model?.appliedEpoch !== epoch) continue
    const boot = bootOf(answer) ?? ''
    const mark = marks[boot]
    marks[boot] = Object.fromEntries(model.revisions.map((r) => [r.revision, callsOf(r)]))
    // While a revision has no ready endpoint its share goes to stable: that is no measurement of the split.
    if (mark === undefined || model.emptied.length > 0) continue
    for (const revision of model.revisions) {
      const sum = calls[revision.revision] ?? none
      const grown = since(mark[revision.revision] ?? none, callsOf(revision))
      calls[revision.revision] = {
        requests: sum.requests + grown.requests,
        failures: sum.failures + grown.failures,
        drawn: sum.drawn + grown.drawn,
      }
    }
  }
  const silent = answers.find((a) => a.error !== undefined && !a.terminating && (a.ready || a.hasServed))
  const missing = silent === undefined ? undefined : `${silent.router} does not answer: ${silent.error ?? ''}`
  const { judgement, since: began } = same ?? {}
  return {
    uid,
    epoch,
    calls,
    marks,
    ...(began !== undefined && { since: began }),
    ...(judgement && { judgement }),
    ...(missing !== undefined && { missing }),
  }
}

/** One start of one router's Envoy; undefined of a router that does not answer. */
export const bootOf = ({ router, state }: Answer): string | undefined =>
  state === undefined ? undefined : `${router}/${state.bootId}`

const none: Calls = { requests: 0, failures: 0, drawn: 0 }

/** Counters only rise; one that fell has started again from 0 within this Envoy, with its cluster. */
const since = (before: Calls, now: Calls): Calls =>
  now.requests < before.requests || now.failures < before.failures
    ? now
    : {
        requests: now.requests - before.requests,
        failures: now.failures - before.failures,
        // The two counters that it is made of are not read in the same instant.
        drawn: Math.max(0, now.drawn - before.drawn),
      }

/** Envoy answers a timeout, a lost connection and an overflow with a 5xx of its own; they are in `s5xx` already. */
const callsOf = ({ requests, grpc, named = 0 }: RevisionTraffic): Calls => ({
  requests: requests.completed,
  failures: requests.s5xx + grpc.failure,
  drawn: requests.completed - named,
})

const modelOf = ({ state }: Answer, uid: string): ModelTraffic | undefined => state?.models.find((m) => m.uid === uid)
