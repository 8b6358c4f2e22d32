// The whole life of one object, as its user sees it, and everything that is left of it at two moments: when its second
// version serves alone, and when it was deleted. Two lives that went the same way are equal, whatever they were called.
import { isDeepStrictEqual } from 'node:util'
import type { ModelDeploymentStatus } from '../../operator/api/modeldeployment.ts'
import {
  deployments,
  jobs,
  networkpolicies,
  poddisruptionbudgets,
  rolebindings,
  roles,
  serviceaccounts,
  services,
  type Pod,
  type ResourceType,
} from '../../operator/kube/resources.ts'
import type { KubeObject } from '../../operator/kube/types.ts'
import { labelKeys, managedSelector } from '../../operator/modeldeployment/names.ts'
import { modelDeployments, modelRevisions } from '../../operator/modeldeployment/resources.ts'
import { eventually } from '../integration/operator/eventually.ts'
import { revisionOf, type Stage, type WrittenSpec } from '../integration/operator/stage.ts'

/** The two versions that an object has one after the other. */
export interface Versions {
  readonly first: WrittenSpec
  readonly second: WrittenSpec
}

export interface Life {
  readonly status: ModelDeploymentStatus
  /** Everything that the operator has made and that is still there, with what matters of it. */
  readonly objects: Readonly<Record<string, unknown>>
  /** Pods that ever were, by what they are for: one more than needed was made twice. */
  readonly pods: Readonly<Record<string, number>>
}

const kinds: readonly ResourceType[] = [
  deployments,
  services,
  poddisruptionbudgets,
  jobs,
  modelRevisions,
  serviceaccounts,
  roles,
  rolebindings,
  networkpolicies,
]

/** What a name or a word says, without what differs from life to life: the object's own name and its revisions'. */
export const plainly =
  (name: string, { first, second }: Versions) =>
  (text: string): string =>
    text
      .replaceAll(revisionOf(name, first), '(first)')
      .replaceAll(revisionOf(name, second), '(second)')
      .replaceAll(new RegExp(String.raw`\b${name}\b`, 'g'), '(name)')
      .replaceAll(/\bslipway-router-\w+-\w+/g, '(router)')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '(time)')

/**
 * Makes the object, changes it to its second version, and deletes it when nothing is left of the first.
 *
 * @param expected how it must end; unless given, it ends as soon as it looks as if nothing were left to do
 */
export const live = async (stage: Stage, name: string, versions: Versions, expected?: Life): Promise<Life> => {
  const pods = new Map<string, Set<string>>()
  const plain = plainly(name, versions)
  const forget = stage.hands.rule(({ pod, does, revision, deployment }) => {
    const what = isRouter(pod) ? 'route' : `${does} ${plain(revision)}`
    if (isRouter(pod) || deployment === name) pods.set(what, (pods.get(what) ?? new Set()).add(pod.metadata.uid ?? ''))
    return undefined
  })
  const now = async (): Promise<Life> => ({
    status: statusOf((await stage.get(name)).status, plain),
    objects: await objectsOf(stage, name, plain),
    pods: Object.fromEntries([...pods].map(([what, uids]) => [what, uids.size])),
  })
  await stage.apply(name, versions.first)
  await stage.ready(name)
  await stage.apply(name, versions.second)
  await stage.ready(name)
  let life = await now()
  const isOver = (): boolean => (expected === undefined ? isSettled(life) : isDeepStrictEqual(life, expected))
  await eventually(
    `nothing is left to do for ${name}`,
    async () => {
      life = await now()
      return isOver()
    },
    () => (expected === undefined ? life : differences(life, expected)),
  )
  forget()
  await stage.client.delete(modelDeployments, stage.namespace, name)
  // What the object owned goes with it, and so does what the routers' Deployment owned: that is the garbage collector's
  // part, and it takes its time with kinds that are new to it. The Deployment itself is the operator's to take.
  await eventually(
    'the routers are gone with the last object that needed them',
    async () =>
      Object.keys(await objectsOf(stage, name, plain)).every((key) => !isOfRouters(key)) &&
      !stage.hands.pods().some(isRouter),
    () => objectsOf(stage, name, plain),
  )
  return life
}

const isRouter = ({ metadata }: Pod): boolean => metadata.labels?.['app.kubernetes.io/name'] === 'slipway-router'

const isOfRouters = (key: string): boolean => key.endsWith(' slipway-router') || key.startsWith('networkpolicies')

/** The second version has all pods, those of the first are gone, and so is what was there for them. */
const isSettled = ({ status, objects }: Life): boolean =>
  status.previous === undefined &&
  isDeepStrictEqual(objects['deployments.apps (second)'], { replicas: 2 }) &&
  objects['deployments.apps (first)'] === undefined &&
  objects['services (first)'] === undefined &&
  JSON.stringify(objects['poddisruptionbudgets.policy (name)-serving']).includes('(second)')

/** Everything in which two lives differ, each by its path. */
const differences = (is: unknown, wanted: unknown, path = 'life'): string[] => {
  if (isDeepStrictEqual(is, wanted)) return []
  if (!isNested(is) || !isNested(wanted)) return [`${path} is ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`]
  const keys = new Set([...Object.keys(is), ...Object.keys(wanted)])
  return [...keys].flatMap((key) => differences(is[key], wanted[key], `${path}.${key}`))
}

const isNested = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** Those of this object and of the routers, which have no object. */
const objectsOf = async (
  { namespace, client }: Stage,
  name: string,
  plain: (text: string) => string,
): Promise<Record<string, unknown>> => {
  const lists = await Promise.all(
    kinds.map(async (type) => {
      const resource = type.group === '' ? type.plural : `${type.plural}.${type.group}`
      const { items } = await client.list(type, { namespace, labelSelector: managedSelector })
      return items
        .filter(({ metadata }) => [name, undefined].includes(metadata.labels?.[labelKeys.modelDeployment]))
        .map((object) => [`${resource} ${plain(object.metadata.name)}`, essenceOf(object, plain)])
    }),
  )
  return Object.fromEntries(lists.flat())
}

/** Numbers of pods, and who is selected. Jobs have a selector that the server makes up. */
const essenceOf = (object: KubeObject, plain: (text: string) => string): unknown => {
  const { spec = {} } = object as KubeObject & { readonly spec?: Readonly<Record<string, unknown>> }
  const { replicas, selector } = spec
  if (object.kind === 'Job') return {}
  if (object.kind === 'Deployment') return { replicas }
  return selector === undefined ? {} : { selector: JSON.parse(plain(JSON.stringify(selector))) }
}

/** The status without its times, and with counters of routers in an order of their own. */
const statusOf = (
  status: ModelDeploymentStatus | undefined,
  plain: (text: string) => string,
): ModelDeploymentStatus => {
  const text = JSON.stringify(status ?? {}, (key, value: unknown) => {
    if (/^(at|since|lastTransitionTime|.+At)$/.test(key)) return '(time)'
    if (key === 'port') return '(port)'
    if (key === 'hash') return '(hash)'
    return value
  })
  return JSON.parse(plain(text))
}
