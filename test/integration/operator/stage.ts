// Everything that a test of the whole operator stands on: a namespace with the chart's rights, hands that play the node,
// operator processes, and the few things that a user does. Users' calls are the administrator's, never the operator's.
import type { ModelDeployment, ModelDeploymentSpec, Condition } from '../../../operator/api/modeldeployment.ts'
import { revisionHash, revisionName } from '../../../operator/api/identity.ts'
import type { KubeClient } from '../../../operator/kube/client.ts'
import { deployments, services, events, type KubeEvent } from '../../../operator/kube/resources.ts'
import { modelDeployments, modelRevisions } from '../../../operator/modeldeployment/resources.ts'
import { labelKeys } from '../../../operator/modeldeployment/names.ts'
import { installCrds, connect as connectPlainly } from '../api/server.ts'
import { connect, createNamespace } from '../kube/server.ts'
import { openAudit, type Audit } from './audit.ts'
import { eventually } from './eventually.ts'
import { startHands, type Hands } from './hands.ts'
import { startOperator, type LogLine, type OperatorOptions, type OperatorProcess } from './process.ts'
import { grant, identify, renderRights, userOf, type Identity } from './rights.ts'

/** A spec as a user writes it: the server fills the rest in. */
export type Written<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Written<T[K]> } : T
export type WrittenSpec = Written<ModelDeploymentSpec> & Pick<ModelDeploymentSpec, 'model'>

export interface Stage {
  readonly client: KubeClient
  readonly namespace: string
  readonly hands: Hands
  readonly audit: Audit
  /** Starts an operator process with a token of its own; `close` ends it if the test has not. */
  start(options?: StartOptions): Promise<OperatorProcess>
  /** The operator processes that this test has started, the ended ones too. */
  running(): readonly OperatorProcess[]
  /** `kubectl apply` of the whole spec, in mode Direct unless it says otherwise: what is not in it any more is unset. */
  apply(name: string, spec: WrittenSpec): Promise<ModelDeployment>
  get(name: string): Promise<ModelDeployment>
  /** The object once the claim holds; the whole story when it never does. */
  until(name: string, what: string, holds: (object: ModelDeployment) => boolean): Promise<ModelDeployment>
  /** Until the latest spec is rolled out. */
  ready(name: string): Promise<ModelDeployment>
  /** Until a condition has this status and reason. */
  says(name: string, type: string, status: string, reason: string): Promise<Condition>
  children(name: string): Promise<Children>
  /** Events about the object, oldest first. */
  events(name: string): Promise<KubeEvent[]>
  close(): Promise<void>
}

export type StartOptions = Pick<OperatorOptions, 'identity' | 'environment' | 'main'> & {
  /** A plain-HTTP address of the API server: a door's. */
  readonly server?: string
}

/** What exists of an object's children. */
export interface Children {
  /** The revision that the Service selects. */
  readonly serving: string | undefined
  /** Replicas by name. */
  readonly deployments: Readonly<Record<string, number>>
  readonly revisions: readonly string[]
}

export const uriOf = (model: string): string => `https://models.test/${model}/model.onnx`

/** A spec that says nothing about traffic goes without routers: its test is about something else. */
export const plainly = ({ traffic, rollout, ...spec }: WrittenSpec): WrittenSpec => {
  const direct = traffic === undefined || traffic.mode === 'Direct'
  return {
    ...spec,
    traffic: traffic ?? { mode: 'Direct' },
    ...(direct ? { rollout: { strategy: 'BlueGreen', ...rollout } } : rollout && { rollout }),
  }
}

/** The name of the revision that this spec leads to. */
export const revisionOf = (name: string, spec: WrittenSpec): string =>
  revisionName(name, revisionHash(spec as ModelDeploymentSpec))

export const conditionOf = (object: ModelDeployment, type: string): Condition | undefined =>
  object.status?.conditions?.find((c) => c.type === type)

const inWords = (line: LogLine): string =>
  `${line['@timestamp'] ?? ''} ${line['log.level']} ${line.message} ${line['error.message'] ?? ''}`

export const openStage = async (): Promise<Stage> => {
  const plain = await connectPlainly()
  await installCrds(plain)
  await plain.close()
  const admin = await connect()
  const { client } = admin
  const namespace = await createNamespace(client)
  await grant(client, await renderRights(namespace))
  const hands = await startHands(client, namespace)
  const audit = await openAudit(userOf(namespace))
  const running: OperatorProcess[] = []
  const identities: Identity[] = []
  const story = async (name: string): Promise<string> => {
    const object = await client.find(modelDeployments, namespace, name)
    const log = running.flatMap((o) => o.log.slice(-15).map(inWords))
    return [
      JSON.stringify(object?.status ?? 'no such object', null, 2),
      ...hands
        .pods()
        .map((p) => `pod ${p.metadata.name} ${p.status?.phase ?? ''} ${p.metadata.deletionTimestamp ?? ''}`),
      ...log,
    ].join('\n')
  }
  const get = (name: string): Promise<ModelDeployment> => client.get(modelDeployments, namespace, name)
  const until: Stage['until'] = (name, what, holds) =>
    eventually(
      `${name} ${what}`,
      async () => {
        const object = await get(name)
        return holds(object) && object
      },
      () => story(name),
    )
  return {
    client,
    namespace,
    hands,
    audit,
    start: async ({ server, ...options } = {}) => {
      const identity = await identify(client, namespace, server)
      identities.push(identity)
      const operator = startOperator({ kubeconfig: identity.kubeconfig, namespace, ...options })
      running.push(operator)
      return operator
    },
    running: () => running,
    apply: (name, spec) => {
      const { apiVersion, kind } = { apiVersion: 'slipway.dev/v1alpha1', kind: 'ModelDeployment' }
      const object = { apiVersion, kind, metadata: { name, namespace }, spec: plainly(spec) }
      return client.apply(modelDeployments, object, { fieldManager: 'kubectl' })
    },
    get,
    until,
    ready: (name) =>
      until(name, 'is rolled out', (object) => {
        const condition = conditionOf(object, 'Ready')
        return condition?.status === 'True' && condition.observedGeneration === object.metadata.generation
      }),
    says: async (name, type, status, reason) => {
      const matches = (c: Condition | undefined): boolean => c?.status === status && c.reason === reason
      const object = await until(name, `says ${type}=${status}, ${reason}`, (o) => matches(conditionOf(o, type)))
      const condition = conditionOf(object, type)
      if (condition === undefined) throw new Error(`${name} has no condition ${type}`)
      return condition
    },
    children: async (name) => {
      const labelSelector = `${labelKeys.modelDeployment}=${name}`
      const [service, workloads, revisions] = await Promise.all([
        client.find(services, namespace, name),
        client.list(deployments, { namespace, labelSelector }),
        client.list(modelRevisions, { namespace, labelSelector }),
      ])
      return {
        serving: service?.spec?.selector?.[labelKeys.revision],
        deployments: Object.fromEntries(workloads.items.map((w) => [w.metadata.name, w.spec?.replicas ?? 1])),
        revisions: revisions.items.map((r) => r.metadata.name).toSorted(),
      }
    },
    events: async (name) => {
      const fieldSelector = `involvedObject.kind=ModelDeployment,involvedObject.name=${name}`
      const { items } = await client.list(events, { namespace, fieldSelector })
      return items.toSorted((a, b) => (a.firstTimestamp ?? '').localeCompare(b.firstTimestamp ?? ''))
    },
    close: async () => {
      await Promise.all(running.map((operator) => operator.kill()))
      await Promise.all(identities.map((identity) => identity.remove()))
      try {
        await hands.close()
      } finally {
        await admin.close()
      }
    },
  }
}
