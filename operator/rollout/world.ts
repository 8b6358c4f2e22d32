// A world around the real reducer, small enough to be copied a million times: Deployments, pods, and routers that apply
// settings when they like. Its controllers are in intents.ts. Test-only.
import { specOf } from '../api/fixtures.ts'
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { Rollout } from './decision.ts'
import type { CheckResult, Command, Observed, Resolution, RevisionFacts, Trouble } from './observed.ts'
import type { Traffic } from './traffic.ts'

export const start = Date.parse('2026-01-01T00:00:00Z')

export interface Workload {
  readonly replicas: number
  readonly ready: number
  readonly stamp?: number
  /** Changes with every write; what is to be destroyed is named with it. */
  readonly version: number
}

/** Everything there is. Values are never changed, only replaced, so that a copy is cheap. */
export interface World {
  readonly spec: ModelDeploymentSpec
  /** The version that the spec asks for. */
  readonly target: number
  /** Changes with every write to the object, of its spec or its status. */
  readonly objectVersion: number
  readonly rollout: Rollout
  /** The setting before the present one, which a router may still read. */
  readonly lastTraffic?: Traffic
  readonly revisions: readonly number[]
  readonly workloads: Readonly<Record<number, Workload>>
  /** By router, what it has applied. */
  readonly routers: readonly (Traffic | undefined)[]
  readonly now: number
  /** How many writes to Deployments there were: the next one's version. */
  readonly writes: number
}

/** What is seen of users and of the world's moods, beside the objects. */
export interface Mood {
  /** By version, requests and failures since the routers agreed. */
  readonly calls?: Readonly<Record<number, readonly [requests: number, failures: number]>>
  readonly missing?: string
  /** Users get other shares than those that are asked for. */
  readonly astray?: boolean
  readonly golden?: CheckResult
  readonly shadow?: CheckResult
  readonly trouble?: Trouble
  readonly servingTrouble?: Trouble
  readonly resolution?: Resolution
  readonly command?: Command
  readonly refusal?: NonNullable<Observed['refusal']>
  /** Routers, by number, that cannot be asked. */
  readonly unreachable?: readonly number[]
}

/** How the world differs from the one we build for; each must be found out (research/rollouts.md 6.5). */
export interface Faults {
  /** Every router is taken to have applied what is wanted. */
  readonly withoutAcks?: boolean
  /** Routers take a lower epoch than they have. */
  readonly withoutMonotony?: boolean
  /** Deployments are written and deleted whatever has become of them since they were read. */
  readonly withoutFencing?: boolean
}

export const nameOf = (version: number): string => `fraud-${version}`

export const versionOf = (revision: string): number => Number(revision.slice('fraud-'.length))

export const factsOf = (version: number): RevisionFacts => ({
  name: nameOf(version),
  hash: `${version}`,
  version: `v${version}`,
  digest: `sha256:${String(version).padStart(64, '0')}`,
  image: 'runtime@sha256:0',
})

export const routerSpec = (
  rollout: Partial<ModelDeploymentSpec['rollout']> = {},
  rest: Partial<ModelDeploymentSpec> = {},
): ModelDeploymentSpec => {
  const spec = specOf('https://models.example/1.onnx', rest)
  return { ...spec, rollout: { ...spec.rollout, ...rollout } }
}

/** Version 1 serves everybody through routers that agree. */
export const serving = (spec: ModelDeploymentSpec, routers = 2): World => {
  const { name, ...facts } = factsOf(1)
  const traffic: Traffic = { epoch: 1, weights: [{ revision: name, weight: 1000 }] }
  return {
    spec,
    target: 1,
    objectVersion: 1,
    rollout: {
      stable: { revision: name, ...facts, promotedAt: new Date(start).toISOString(), rollout: 1 },
      rollouts: 1,
      traffic,
    },
    revisions: [1],
    workloads: { 1: { replicas: spec.replicas, ready: spec.replicas, stamp: 1, version: 1 } },
    routers: Array.from({ length: routers }, () => traffic),
    now: start,
    writes: 1,
  }
}

export const empty = (spec: ModelDeploymentSpec, routers = 2): World => ({
  spec,
  target: 1,
  objectVersion: 1,
  rollout: {},
  revisions: [],
  workloads: {},
  routers: Array.from({ length: routers }, () => undefined),
  now: start,
  writes: 0,
})

export const observe = (world: World, mood: Mood = {}, faults: Faults = {}): Observed => {
  const { rollout, workloads, routers } = world
  const { calls, missing, golden, shadow, trouble, servingTrouble, resolution, command, refusal } = mood
  return {
    target: { kind: 'Revision', hash: `${world.target}`, revision: nameOf(world.target) },
    specHash: `${world.target}`,
    revisions: world.revisions.map(factsOf),
    resolution: resolution ?? { kind: 'Running' },
    pods: Object.entries(workloads).map(([version, { replicas, ready, stamp }]) => ({
      revision: nameOf(Number(version)),
      total: replicas,
      ready,
      current: true,
      ...(stamp !== undefined && { stamp }),
    })),
    service: { readyEndpoints: {} },
    routers: routers.map((applied, i) => {
      if (mood.unreachable?.includes(i) === true) return { name: `router-${i}` }
      const epoch = faults.withoutAcks === true ? rollout.traffic?.epoch : applied?.epoch
      const most = applied?.weights.toSorted((a, b) => b.weight - a.weight)[0]?.revision
      return {
        name: `router-${i}`,
        ...(epoch !== undefined && { epoch }),
        ...(applied && faults.withoutAcks !== true && { applied: sharesOf(applied) }),
        ...(most !== undefined && { serving: most }),
      }
    }),
    evidence: {
      epoch: rollout.traffic?.epoch ?? 0,
      calls: Object.fromEntries(
        Object.entries(calls ?? {}).map(([v, [requests, failures]]) => [nameOf(Number(v)), { requests, failures }]),
      ),
      ...(missing !== undefined && { missing }),
      ...(golden && { golden }),
      ...(shadow && { shadow }),
    },
    ...(mood.astray === true && {
      shares: { epoch: rollout.traffic?.epoch ?? 0, asAsked: false, message: 'It should get 20% and got 60%.' },
    }),
    ...(trouble && { trouble }),
    ...(servingTrouble && { servingTrouble }),
    ...(command && { command }),
    ...(refusal && { refusal }),
  }
}

const sharesOf = ({ weights, mirror }: Traffic) => ({
  weights: Object.fromEntries(weights.map(({ revision, weight }) => [revision, weight])),
  ...(mirror && { mirror: mirror.revision }),
})

/** A router reads the status, or what it was before, and applies it; a lower epoch than its own it refuses. */
export const pull = (world: World, router: number, setting: Traffic | undefined, faults: Faults = {}): World => {
  const applied = world.routers[router]
  if (setting === undefined || applied?.epoch === setting.epoch) return world
  if (applied !== undefined && setting.epoch < applied.epoch && faults.withoutMonotony !== true) return world
  return { ...world, routers: world.routers.map((r, i) => (i === router ? setting : r)) }
}

export const withReady = (world: World, version: number, ready: number): World => {
  const live = world.workloads[version]
  if (live === undefined) return world
  const changed = { ...live, ready: Math.max(0, Math.min(ready, live.replicas)) }
  return { ...world, workloads: { ...world.workloads, [version]: changed } }
}

export const withTarget = (world: World, target: number): World => ({
  ...world,
  target,
  objectVersion: world.objectVersion + 1,
})

export const withSpec = (world: World, rollout: Partial<ModelDeploymentSpec['rollout']>): World => ({
  ...world,
  spec: { ...world.spec, rollout: { ...world.spec.rollout, ...rollout } },
  objectVersion: world.objectVersion + 1,
})

/** Whether nothing is under way and everybody is answered by what should answer. */
export const isSettled = ({ rollout, target, workloads, routers, revisions, spec }: World): boolean => {
  const { stable, previous, candidate, traffic } = rollout
  if (candidate !== undefined) return false
  const isRejected = rollout.rejected?.some((r) => r.hash === `${target}`) === true
  if (stable === undefined) return isRejected && Object.keys(workloads).length === 0
  if (stable.hash !== `${target}` && !isRejected) return false
  const roles = [stable, previous].flatMap((r) => r?.revision ?? [])
  if (Object.keys(workloads).some((v) => !roles.includes(nameOf(Number(v))))) return false
  const live = workloads[versionOf(stable.revision)]
  // Without its record, stable's pods run on and cannot be made again: the status asks for another version.
  if (!revisions.includes(versionOf(stable.revision))) return true
  return live?.ready === spec.replicas && routers.every((r) => r?.epoch === traffic?.epoch)
}
