// Controllers of a world: each reads at one moment and acts at another, or never. They decide nothing about a rollout: that
// is next.ts; they only carry out what wanted.ts says, as the operator does. Test-only.
import type { Rollout } from './decision.ts'
import { podViolationsOf, violationsOf, type Violation } from './invariants.ts'
import { next, type Next } from './next.ts'
import type { Observed } from './observed.ts'
import { isReached } from './traffic.ts'
import { mayRemove, wantedPods } from './wanted.ts'
import { nameOf, observe, versionOf, type Faults, type Mood, type Workload, type World } from './world.ts'

/** What a controller is about to do: decided on what it saw, carried out later, or never. */
export type Intent =
  | { readonly kind: 'status'; readonly next: Next; readonly objectVersion: number }
  | { readonly kind: 'resolve'; readonly revision: number }
  | {
      readonly kind: 'apply'
      readonly revision: number
      readonly replicas: number
      readonly stamp?: number
      readonly version: number
      /** The spec asks for no pods at all, whoever is still sent to them. */
      readonly isAsked?: boolean
    }
  | { readonly kind: 'delete'; readonly revision: number; readonly version: number }

/** What a controller would do next, as modeldeployment/reconcile.ts does: write the status, or else act on it. */
export const intents = (
  world: World,
  mood: Mood,
  report: (violation: Violation) => void,
  faults: Faults = {},
): readonly Intent[] => {
  const { spec, rollout, now } = world
  const seen = observe(world, mood, faults)
  const after = next(spec, rollout, seen, now)
  for (const violation of violationsOf({ spec, before: rollout, seen, after, now })) report(violation)
  if (after.transitions.length > 0 || !same(after.rollout, rollout))
    return [{ kind: 'status', next: after, objectVersion: world.objectVersion }]
  return actions(world, seen, report)
}

const actions = (world: World, seen: Observed, report: (violation: Violation) => void): readonly Intent[] => {
  const { spec, rollout, workloads } = world
  const { candidate } = rollout
  const due: Intent[] = []
  if (candidate?.state === 'Pending' && !world.revisions.includes(Number(candidate.hash)))
    due.push({ kind: 'resolve', revision: Number(candidate.hash) })
  const wanted = wantedPods(spec, rollout, seen)
  for (const { revision, replicas, stamp } of wanted) {
    const version = versionOf(revision)
    const live = workloads[version]
    if (!world.revisions.includes(version)) continue
    if (live?.replicas === replicas && live.stamp === stamp) continue
    const entry = { kind: 'apply', revision: version, replicas, version: live?.version ?? 0 } as const
    due.push({ ...entry, ...(stamp !== undefined && { stamp }), ...(spec.replicas === 0 && { isAsked: true }) })
  }
  const removed = Object.keys(workloads)
    .map(Number)
    .filter((version) => mayRemove(spec, rollout, seen, nameOf(version)))
  for (const revision of removed) due.push({ kind: 'delete', revision, version: workloads[revision]?.version ?? 0 })
  for (const violation of podViolationsOf(spec, rollout, seen, wanted, removed.map(nameOf))) report(violation)
  return due
}

/** Carries out what was decided earlier. What is out of date by now fails, as the API server's preconditions make it. */
export const perform = (
  world: World,
  intent: Intent,
  report: (violation: Violation) => void,
  faults: Faults = {},
): World => {
  switch (intent.kind) {
    case 'status':
      return intent.objectVersion === world.objectVersion ? written(world, intent.next.rollout) : world
    case 'resolve':
      return world.revisions.includes(intent.revision)
        ? world
        : { ...world, revisions: [intent.revision, ...world.revisions] }
    default:
      return workloadWritten(world, intent, report, faults)
  }
}

const written = (world: World, rollout: Rollout): World => ({
  ...world,
  rollout,
  objectVersion: world.objectVersion + 1,
  ...(rollout.traffic !== world.rollout.traffic && world.rollout.traffic && { lastTraffic: world.rollout.traffic }),
})

const workloadWritten = (
  world: World,
  intent: Extract<Intent, { kind: 'apply' | 'delete' }>,
  report: (violation: Violation) => void,
  faults: Faults,
): World => {
  const { revision } = intent
  const live = world.workloads[revision]
  const isAsRead = (live?.version ?? 0) === intent.version
  if (!isAsRead && (faults.withoutFencing !== true || live === undefined)) return world
  const replicas = intent.kind === 'delete' ? 0 : intent.replicas
  const isAsked = intent.kind === 'apply' && intent.isAsked === true
  if (replicas === 0 && (live?.replicas ?? 0) > 0 && !isAsked && isRouted(world, revision))
    report({
      invariant: 'I3',
      message: `${nameOf(revision)} is taken away while a router, or the wanted setting, sends requests to it.`,
    })
  if (intent.kind === 'delete') {
    const { [revision]: _gone, ...workloads } = world.workloads
    return { ...world, workloads }
  }
  const changed: Workload = {
    replicas,
    ready: Math.min(live?.ready ?? 0, replicas),
    version: world.writes + 1,
    ...(intent.stamp !== undefined && { stamp: intent.stamp }),
  }
  return { ...world, workloads: { ...world.workloads, [revision]: changed }, writes: world.writes + 1 }
}

const isRouted = ({ routers, rollout }: World, revision: number): boolean =>
  [...routers, rollout.traffic].some((setting) => isReached(setting, nameOf(revision)))

/** Equal whatever the order of fields, as the operator compares a status with the one that is written. */
const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const [keys, others] = [Object.keys(a), Object.keys(b)]
  return keys.length === others.length && keys.every((key) => same(Reflect.get(a, key), Reflect.get(b, key)))
}
