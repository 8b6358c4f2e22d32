// The kubelet's and the scheduler's part, played by hand, because the control plane of these tests has no nodes.
// Played: a Node that reports itself Ready, binding pods to it, writing pod status by the rules a test gives, and
// confirming the end of a deleted pod. Real: the API server and its validation of all that, and every controller of
// kube-controller-manager: Jobs, Deployments, ReplicaSets, EndpointSlices, garbage collection, quotas, node lifecycle.
// No container ever runs. It must never write anything but nodes and pods.
import { createHash, randomBytes } from 'node:crypto'
import type { KubeClient } from '../../../operator/kube/client.ts'
import { isConflict, isNotFound, isRetryable } from '../../../operator/kube/errors.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { pathOf, pods, resource, type Pod } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import type { Termination } from '../../../operator/modeldeployment/termination.ts'
import { silent } from '../../../operator/telemetry/log.ts'

/** What a node does with a pod. */
export type Play =
  /** The pod runs and is Ready; at an address of its own that leads nowhere, unless one is given. */
  | { readonly do: 'serve'; readonly ip?: string }
  /** The pod runs and is not Ready. */
  | { readonly do: 'start' }
  /** The container has ended, with this termination message. A serving pod then waits to be started again. */
  | {
      readonly do: 'end'
      readonly exitCode: number
      readonly message?: string
      readonly reason?: string
      readonly restarts?: number
    }
  /** The container waits: its image cannot be pulled, for instance. */
  | { readonly do: 'wait'; readonly reason: string; readonly message: string }
  /** The scheduler finds no node. */
  | { readonly do: 'refuse'; readonly message: string }
  /** Nobody has looked at the pod yet. */
  | { readonly do: 'nothing' }

/** A pod, and what a rule may want to know of it. */
export interface Role {
  readonly pod: Pod
  readonly does: 'resolve' | 'serve'
  readonly deployment: string
  readonly revision: string
  readonly uri: string
  /** The Job of a resolving pod. */
  readonly job: string | undefined
}

/** The first rule that says something about a pod decides. */
export type Rule = (role: Role) => Play | undefined

export interface Hands {
  /** Puts a rule before all others and looks at every pod again; call the result to take it away. */
  rule(rule: Rule): () => void
  /** The pods of the namespace, as they are now. */
  pods(): readonly Pod[]
  close(): Promise<void>
}

/** The digest that the played fetch finds at a URI: another URI is another model. */
export const digestOf = (uri: string): string => `sha256:${createHash('sha256').update(uri).digest('hex')}`

/** What the played fetch reads from every model, unless a rule says otherwise. */
export const graph = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
}

/** A container's end with the runtime's own termination message. */
export const ended = (result: Termination): Play => ({
  do: 'end',
  exitCode: result.ok ? 0 : 1,
  message: JSON.stringify(result),
})

/** The fetch that works. */
export const resolved = (uri: string, contract = graph): Play =>
  ended({ ok: true, digest: digestOf(uri), sizeBytes: 1000, ...contract })

/** The digest of the runtime image that the played kubelet pulled. */
export const pulledDigest = `sha256:${'1'.repeat(64)}`

const nodes = resource('', 'v1', 'nodes', 'Node', 'Cluster')
/** The node lifecycle controller gives a silent node up after 20 s. */
const heartbeatMs = 3000

export const startHands = async (client: KubeClient, namespace: string): Promise<Hands> => {
  const stop = new AbortController()
  const store = new Store<Pod>()
  const node = `by-hand-${randomBytes(4).toString('hex')}`
  const rules: Rule[] = []
  const done = new Map<string, string>()
  const failures: unknown[] = []
  await client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
  await heartbeat(client, node)
  const beating = setInterval(() => {
    heartbeat(client, node).catch((error: unknown) => {
      // The next beat is soon; tests that restart the API server mean it.
      if (!isRetryable(error)) failures.push(error)
    })
  }, heartbeatMs)

  const play = async (pod: Pod): Promise<void> => {
    const uid = pod.metadata.uid ?? ''
    const part: Play | { readonly do: 'bury' } =
      pod.metadata.deletionTimestamp === undefined ? partOf(rules, roleOf(pod)) : { do: 'bury' }
    const words = JSON.stringify(part)
    // A container that has ended for good cannot be played otherwise any more; the API server would refuse it.
    if (done.get(uid) === words || (isOver(pod) && part.do !== 'bury')) return
    done.set(uid, words)
    try {
      if (part.do === 'bury') await bury(client, pod)
      else await enact(client, node, pod, part)
    } catch (error) {
      if (isNotFound(error)) return
      // Someone else wrote, or the API server was away: again. Anything else is a mistake of the test, told at the end.
      if (!isConflict(error) && !isRetryable(error)) {
        failures.push(error)
        return
      }
      done.delete(uid)
      setTimeout(() => look(pod), 300).unref()
    }
  }
  const queue = new Map<string, Promise<void>>()
  const look = (pod: Pod): void => {
    const uid = pod.metadata.uid ?? ''
    // One write at a time to a pod, always from its latest state.
    const turn = (queue.get(uid) ?? Promise.resolve()).then(() =>
      play(store.get(pod.metadata.namespace, pod.metadata.name) ?? pod),
    )
    queue.set(uid, turn)
  }
  store.subscribe((event) => {
    if (event.type !== 'deleted') look(event.object)
  })
  const following = new Reflector({ client, type: pods, store, namespace, log: silent }).run(stop.signal)
  await store.whenSynced()
  const lookAtAll = (): void => {
    for (const pod of store.list()) look(pod)
  }
  return {
    rule: (rule) => {
      rules.unshift(rule)
      lookAtAll()
      return () => {
        rules.splice(rules.indexOf(rule), 1)
        lookAtAll()
      }
    },
    pods: () => [...store.list()],
    close: async () => {
      clearInterval(beating)
      stop.abort()
      await following
      await Promise.all(queue.values())
      await client.delete(nodes, undefined, node)
      if (failures.length > 0) throw new AggregateError(failures, 'the API server refused what was played')
    },
  }
}

const partOf = (rules: readonly Rule[], role: Role): Play => {
  for (const rule of rules) {
    const part = rule(role)
    if (part !== undefined) return part
  }
  return role.does === 'resolve' ? resolved(role.uri) : { do: 'serve' }
}

const roleOf = (pod: Pod): Role => {
  const labels = pod.metadata.labels ?? {}
  const resolves = labels['slipway.dev/resolves']
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
  const uri = containers.flatMap((c) => c.env ?? []).find((e) => e.name === 'SLIPWAY_MODEL_URI')?.value
  return {
    pod,
    does: resolves === undefined ? 'serve' : 'resolve',
    deployment: labels['slipway.dev/model-deployment'] ?? '',
    revision: resolves ?? labels['slipway.dev/revision'] ?? '',
    uri: uri ?? '',
    job: labels['job-name'],
  }
}

const isOver = (pod: Pod): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

const heartbeat = async (client: KubeClient, node: string): Promise<void> => {
  const lastHeartbeatTime = new Date().toISOString()
  const status = { conditions: [{ type: 'Ready', status: 'True', reason: 'PlayedByHand', lastHeartbeatTime }] }
  await client.mergePatch(nodes, undefined, node, { status }, { subresource: 'status' })
}

/** The scheduler's binding, then the kubelet's status. */
const enact = async (client: KubeClient, node: string, pod: Pod, part: Play): Promise<void> => {
  const { namespace, name } = pod.metadata
  if (part.do === 'nothing') return
  if (part.do !== 'refuse' && pod.spec?.nodeName === undefined) {
    const target = { apiVersion: 'v1', kind: 'Node', name: node }
    await client.transport.call({
      method: 'POST',
      path: `${pathOf(pods, namespace, name)}/binding`,
      body: { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target },
      asked: { verb: 'create', resource: 'pods/binding', namespace, name },
    })
  }
  await client.mergePatch(pods, namespace, name, { status: statusOf(pod, part) }, { subresource: 'status' })
}

/** What a kubelet does last: without it a deleted pod that was bound stays for ever. */
const bury = async (client: KubeClient, pod: Pod): Promise<void> => {
  const { namespace, name, uid } = pod.metadata
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } }
  const asked = { verb: 'delete', resource: 'pods', namespace, name }
  await client.transport.call({ method: 'DELETE', path: pathOf(pods, namespace, name), body, asked })
}

const statusOf = (pod: Pod, part: Exclude<Play, { do: 'nothing' }>): object => {
  if (part.do === 'refuse') {
    const { message } = part
    return { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] }
  }
  const once = pod.spec?.restartPolicy === 'Never'
  const ready = part.do === 'serve'
  const flags = { PodScheduled: true, Initialized: part.do !== 'wait', ContainersReady: ready, Ready: ready }
  const ip = (part.do === 'serve' ? part.ip : undefined) ?? addressOf(pod)
  return {
    phase: phaseOf(part, once),
    conditions: Object.entries(flags).map(([type, so]) => ({
      type,
      status: so ? 'True' : 'False',
      // Without it a pod never counts as having been ready for minReadySeconds.
      lastTransitionTime: new Date().toISOString(),
    })),
    podIP: ip,
    podIPs: [{ ip }],
    initContainerStatuses: (pod.spec?.initContainers ?? []).map((c) =>
      containerStatus(c, false, 0, { terminated: { exitCode: 0, reason: 'Completed' } }),
    ),
    containerStatuses: (pod.spec?.containers ?? []).map((c) => playedContainer(c, part, once)),
  }
}

const phaseOf = (part: Play, once: boolean): string => {
  if (part.do === 'wait') return 'Pending'
  if (part.do !== 'end' || !once) return 'Running'
  return part.exitCode === 0 ? 'Succeeded' : 'Failed'
}

interface ContainerSpec {
  readonly name: string
  readonly image?: string
}

const playedContainer = (spec: ContainerSpec, part: Play, once: boolean): object => {
  if (part.do === 'wait') {
    const { reason, message } = part
    return { ...containerStatus(spec, false, 0, { waiting: { reason, message } }), imageID: '' }
  }
  if (part.do !== 'end') return containerStatus(spec, part.do === 'serve', 0, { running: {} })
  const { exitCode, message, reason = exitCode === 0 ? 'Completed' : 'Error', restarts = 1 } = part
  const terminated = { exitCode, reason, ...(message !== undefined && { message }) }
  if (once) return containerStatus(spec, false, 0, { terminated })
  const waiting = { reason: 'CrashLoopBackOff', message: 'back-off restarting failed container' }
  return { ...containerStatus(spec, false, restarts, { waiting }), lastState: { terminated } }
}

const containerStatus = (spec: ContainerSpec, ready: boolean, restartCount: number, state: object) => ({
  name: spec.name,
  image: spec.image ?? '',
  imageID: `${(spec.image ?? '').split(/[:@]/)[0]}@${pulledDigest}`,
  ready,
  restartCount,
  state,
})

/** An address that is this pod's own, from a range that is never routed. */
const addressOf = (pod: Pod): string => {
  const [a = 0, b = 0] = createHash('sha256')
    .update(pod.metadata.uid ?? '')
    .digest()
  return `198.18.${a}.${b}`
}
