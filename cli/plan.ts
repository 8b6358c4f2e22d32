// What applying a manifest would do, told before it is applied: gathered with reads and dry runs, decided by the code of
// the controller itself. It changes nothing.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import type { ModelContract, ModelRevision } from '../operator/api/modelrevision.ts'
import { isForbidden } from '../operator/kube/errors.ts'
import type { Desired } from '../operator/kube/types.ts'
import { contractDifference } from '../operator/modeldeployment/contract.ts'
import { notImplemented } from '../operator/modeldeployment/notimplemented.ts'
import { modelDeployments } from '../operator/modeldeployment/resources.ts'
import { changesOf, type Change } from './changes.ts'
import { revisionsOf, type Cluster } from './cluster.ts'
import { admitted, podsRefused, templateOf } from './desired.ts'
import { missingAtGateway } from './gateway.ts'
import { forecastOf, podsNow, type Forecast } from './forecast.ts'

export interface PlanReport {
  readonly kind: 'Plan'
  readonly namespace: string
  readonly name: string
  readonly action: 'Create' | 'Change' | 'Nothing'
  /** Fields of the spec that would change, defaults filled in; empty for a new object. */
  readonly changes: readonly Change[]
  /** Why it would not work, by whom it would be refused; empty when nothing is known against it. */
  readonly refusals: readonly { readonly by: 'API server' | 'operator'; readonly message: string }[]
  readonly revision?: {
    readonly name: string
    /** `Serving`: no rollout. `Kept`: its model is known. `New`: its model must be fetched and read. */
    readonly is: 'Serving' | 'Kept' | 'New'
    readonly version?: string
  }
  readonly contract?: Contract
  readonly pods?: Forecast['pods'] & {
    /** Pods that must run for the object as it is. */
    readonly now: number
    /** Resources of one pod's containers, as the manifest has them. */
    readonly each: { readonly requests: Amounts; readonly limits: Amounts }
    /** Devices of all pods together at the most, by resource name. */
    readonly devices: Readonly<Record<string, number>>
  }
  readonly steps: Forecast['steps']
  readonly held?: NonNullable<Forecast['held']>
  /** What could not be checked, and why. */
  readonly notes: readonly string[]
}

export interface Contract {
  readonly known: boolean
  /** The first difference that clients of the serving version would notice; unset where there is none or it is unknown. */
  readonly difference?: string
  readonly message: string
}

export type Amounts = Readonly<Record<string, string>>

/** @param now milliseconds since the epoch */
export const planOf = async (cluster: Cluster, desired: Desired, now: number): Promise<PlanReport> => {
  const namespace = desired.metadata.namespace ?? cluster.namespace
  const there = { ...cluster, namespace }
  const { name } = desired.metadata
  const live = await there.client.find(modelDeployments, namespace, name)
  const admission = await admitted(there, desired, live)
  const head = { kind: 'Plan', namespace, name } as const
  if (!admission.ok) {
    const refusals = [{ by: 'API server' as const, message: admission.message }]
    return { ...head, action: live ? 'Change' : 'Create', changes: [], refusals, steps: [], notes: [] }
  }
  return planFor(there, live, { ...admission.object, ...(live?.status && { status: live.status }) }, now)
}

/** The same for an object as it is: what would happen without another change. */
export const planFor = async (
  cluster: Cluster,
  live: ModelDeployment | undefined,
  wanted: ModelDeployment,
  now: number,
): Promise<PlanReport> => {
  const { name } = wanted.metadata
  const kept = live === undefined ? [] : (await revisionsOf(cluster, name)).filter((r) => belongs(r, live))
  const unsupported = notImplemented(wanted.spec)
  const refusal =
    unsupported === undefined
      ? await missingAtGateway(cluster, wanted)
      : ({ reason: 'NotImplemented', message: unsupported } as const)
  const forecast = forecastOf(wanted, kept, refusal, now)
  const changes = live === undefined ? [] : changesOf(live.spec, wanted.spec)
  const target = kept.find((r) => r.metadata.name === forecast.target?.revision)
  const stable = kept.find((r) => r.metadata.name === wanted.status?.stable?.revision)
  const contract = contractOf(wanted, stable, target, kept)
  // The operator compares when it reads a new model; a kept revision has been let through already.
  const isCompared = target === undefined && (wanted.spec.model.contract ?? 'Compatible') === 'Compatible'
  const breaks = isCompared && contract.difference !== undefined
  const pods = await podsChecked(cluster, wanted, forecast, target)
  const isServing = forecast.target !== undefined && forecast.target.revision === wanted.status?.stable?.revision
  const version = target?.spec.model.version ?? wanted.spec.model.version
  const stalled = forecast.held?.outcome === 'Stalled' && refusal === undefined ? [forecast.held.message] : []
  return {
    kind: 'Plan',
    namespace: cluster.namespace,
    name,
    action: live === undefined ? 'Create' : changes.length > 0 ? 'Change' : 'Nothing',
    changes,
    refusals: [
      ...(refusal === undefined ? [] : [{ by: 'operator' as const, message: refusal.message }]),
      ...pods.refusals.map((message) => ({ by: 'API server' as const, message })),
      ...(breaks ? [{ by: 'operator' as const, message: contract.message }] : []),
      ...stalled.map((message) => ({ by: 'operator' as const, message })),
    ],
    ...(forecast.target && {
      revision: {
        name: forecast.target.revision,
        is: isServing ? ('Serving' as const) : target === undefined ? ('New' as const) : ('Kept' as const),
        ...(version !== undefined && { version }),
      },
    }),
    ...(stable !== undefined && !isServing && { contract }),
    pods: {
      now: live === undefined ? 0 : podsNow(live, kept),
      ...forecast.pods,
      ...resourcesOf(wanted, forecast, target),
    },
    steps: forecast.steps,
    ...(forecast.held && { held: forecast.held }),
    notes: pods.notes,
  }
}

const belongs = ({ metadata }: ModelRevision, owner: ModelDeployment): boolean =>
  metadata.ownerReferences?.some((o) => o.uid === owner.metadata.uid) ?? false

/** Inputs and outputs of the new revision are known when its model has been read before, here or under another name. */
const contractOf = (
  { spec }: ModelDeployment,
  stable: ModelRevision | undefined,
  target: ModelRevision | undefined,
  kept: readonly ModelRevision[],
): Contract => {
  const read = target ?? kept.find((r) => spec.model.digest !== undefined && r.spec.model.digest === spec.model.digest)
  if (stable === undefined) return { known: false, message: 'No version serves yet, so there is nothing to keep.' }
  if (read === undefined)
    return { known: false, message: 'Not known before the model is fetched: its inputs and outputs are compared then.' }
  return compared(stable.spec.contract, read.spec.contract, stable.spec.model.version)
}

const compared = (stable: ModelContract, candidate: ModelContract, version: string): Contract => {
  const difference = contractDifference(stable, candidate)
  return difference === undefined
    ? { known: true, message: `Clients of ${version} notice nothing.` }
    : { known: true, difference, message: `Clients of ${version} would break: ${difference}.` }
}

/** The controller's dry run of the pods, which only a new revision needs. */
const podsChecked = async (
  cluster: Cluster,
  wanted: ModelDeployment,
  { target }: Forecast,
  kept: ModelRevision | undefined,
): Promise<{ readonly refusals: readonly string[]; readonly notes: readonly string[] }> => {
  if (target === undefined || kept !== undefined) return { refusals: [], notes: [] }
  try {
    const refused = await podsRefused(cluster, wanted, target.revision)
    return { refusals: refused === undefined ? [] : [refused], notes: [] }
  } catch (error) {
    if (!isForbidden(error)) throw error
    return { refusals: [], notes: [`The pods could not be checked by a dry run: ${error.message}`] }
  }
}

interface Container {
  readonly resources?: { readonly requests?: Record<string, unknown>; readonly limits?: Record<string, unknown> }
}

const resourcesOf = (wanted: ModelDeployment, { target, pods }: Forecast, kept: ModelRevision | undefined) => {
  const template = kept?.spec.podTemplate ?? templateOf(wanted, target?.revision ?? '')
  const { containers = [] } = template.spec as { containers?: readonly Container[] }
  const [main] = containers
  const requests = amounts(main?.resources?.requests)
  const limits = amounts(main?.resources?.limits)
  // Devices are asked for as limits under a name with a domain; a whole number of them.
  const devices = Object.entries(limits)
    .filter(([name]) => name.includes('/'))
    .map(([name, count]) => [name, Number(count) * pods.most])
  return { each: { requests, limits }, devices: Object.fromEntries(devices) as Record<string, number> }
}

const amounts = (found: Record<string, unknown> | undefined): Amounts =>
  Object.fromEntries(Object.entries(found ?? {}).map(([name, amount]) => [name, String(amount)]))
