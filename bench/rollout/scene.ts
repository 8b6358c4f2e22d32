// Where rollouts are measured: two nodes, Slipway by its chart with its own defaults, one ModelDeployment behind routers,
// and an observer that notes who has which share from when on. The model store and the load stay on the first node,
// which is never cut off: they are the users, not what is measured.
import { setTimeout as sleep } from 'node:timers/promises'
import { readFileSync } from 'node:fs'
import type { ModelDeployment, ModelDeploymentSpec } from '../../operator/api/modeldeployment.ts'
import { KubeClient } from '../../operator/kube/client.ts'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import { Reflector } from '../../operator/kube/reflector.ts'
import { deployments, nodes, pods, type Pod } from '../../operator/kube/resources.ts'
import { Store } from '../../operator/kube/store.ts'
import { Transport } from '../../operator/kube/transport.ts'
import { commandAnnotation } from '../../operator/modeldeployment/command.ts'
import { modelDeployments } from '../../operator/modeldeployment/resources.ts'
import { silent } from '../../operator/telemetry/log.ts'
import { allRequests } from '../../operator/rollout/traffic.ts'
import { clusterAddresses, type ClusterAddresses } from '../../test/cluster/addresses.ts'
import { kubeconfigOf, up } from '../../test/cluster/lifecycle.ts'
import { readState } from '../../test/cluster/state.ts'
import { e2e, type E2E } from '../../test/kit/e2e.ts'
import { manifestOf } from '../../test/kit/model.ts'
import { startStream, type Stream } from '../../test/kit/stream.ts'
import type { Allowed } from './timeline.ts'

export const modelName = 'vad'
const userLabel = 'slipway.dev/bench-users'

export interface Scene {
  readonly world: E2E
  readonly client: KubeClient
  /** Their names. The users are on the first, which is never cut off. */
  readonly nodes: readonly string[]
  /** The host's end of a node's cable; undefined where the cluster is somebody else's. */
  readonly linkOf: (node: string) => string | undefined
  /** Everything that was seen so far; it grows. */
  readonly timeline: readonly Allowed[]
  /** The version of every revision that was seen. */
  readonly versions: ReadonlyMap<string, string>
  /** Asks for a version as `kubectl apply` does. */
  readonly apply: (version: string, rollout?: Rollout) => Promise<ModelDeployment>
  /** Gives a command about a revision. */
  readonly command: (op: string, revision: string) => Promise<void>
  /** The object as soon as the claim holds. @throws with its status when it does not in time */
  readonly until: (
    what: string,
    claim: (object: ModelDeployment) => boolean,
    timeoutMs?: number,
  ) => Promise<ModelDeployment>
  readonly load: (
    name: string,
    options: { readonly keepAlive: boolean; readonly timeoutMs?: number },
  ) => Promise<Stream>
  readonly pods: (selector: string) => Promise<readonly Pod[]>
  readonly operators: () => Promise<readonly Pod[]>
  /** Runs kubectl drain, as a person does, on everything but the users. */
  readonly drain: (node: string) => Promise<void>
  /** Both routers are there and ready: faults of one run are over before the next begins. */
  readonly routersReady: () => Promise<void>
  readonly close: () => Promise<void>
}

type Rollout = { readonly steps?: ModelDeploymentSpec['rollout']['steps'] } & Record<string, unknown>

const request = readFileSync('examples/silero/request.json', 'utf8')

/** Every request goes to one revision, and every router says so. */
export const isHome = ({ status }: ModelDeployment, revision: string): boolean => {
  const { weights = [], routers } = status?.traffic ?? {}
  const [only] = weights
  const acked = routers !== undefined && routers.total > 0 && routers.acked === routers.total
  return weights.length === 1 && only?.revision === revision && only.weight === allRequests && acked
}

/** Nothing is under way, all users are on this version, and the operator has seen the newest spec. */
export const isSettledOn =
  (version: string) =>
  (object: ModelDeployment): boolean => {
    const { status, metadata } = object
    const { stable, candidate } = status ?? {}
    const seen = status?.observedGeneration === metadata.generation
    return seen && candidate === undefined && stable?.version === version && isHome(object, stable.revision)
  }

/** @param cluster a cluster of ours by name, brought up with two nodes where it is not there; else the one of KUBECONFIG */
export const openScene = async (cluster: string | undefined, report: (line: string) => void): Promise<Scene> => {
  const addresses = cluster === undefined ? undefined : await bringUp(cluster, report)
  const world = await e2e('rollout', [])
  const { shell, namespace } = world
  const credentials = await loadCredentials({ kubeconfig: process.env['KUBECONFIG'] })
  const client = new KubeClient(new Transport({ credentials, userAgent: 'bench' }))
  const names = (await client.list(nodes, {})).items.map(({ metadata }) => metadata.name).toSorted()
  const [home] = names
  const users = {
    metadata: { labels: { [userLabel]: '' } },
    spec: { nodeSelector: { 'kubernetes.io/hostname': home } },
  }
  const patch = JSON.stringify({ spec: { template: users } })
  await shell.kubectl(['patch', '-n', namespace, 'deployment/model-store', '-p', patch])
  await shell.kubectl(['rollout', 'status', '-n', namespace, 'deployment/model-store', '--timeout=120s'])

  const store = new Store<ModelDeployment>()
  const timeline: Allowed[] = []
  const versions = new Map<string, string>()
  const waiting = new Set<() => void>()
  store.subscribe(({ object: { status } }) => {
    const { stable, candidate, previous, traffic } = status ?? {}
    for (const pointer of [stable, candidate, previous])
      if (pointer?.version !== undefined) versions.set(pointer.revision, pointer.version)
    // A share whose revision has no pod left goes to stable at once, by the routers alone.
    const revisions = [
      ...(traffic?.weights ?? []).map(({ revision }) => revision),
      ...(stable ? [stable.revision] : []),
    ]
    timeline.push({ at: Date.now(), revisions })
    for (const look of waiting) look()
  })
  const stop = new AbortController()
  const running = new Reflector({ client, type: modelDeployments, store, namespace, log: silent }).run(stop.signal)
  await store.whenSynced()
  let commands = 0

  const until: Scene['until'] = (what, claim, timeoutMs = 240_000) =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(late)
        waiting.delete(look)
      }
      const look = (): void => {
        const object = store.get(namespace, modelName)
        if (object === undefined || !claim(object)) return
        end()
        resolve(object)
      }
      const late = setTimeout(() => {
        end()
        const { status } = store.get(namespace, modelName) ?? {}
        reject(new Error(`not within ${timeoutMs / 1000} s: ${what}\n${JSON.stringify(status, null, 2)}`))
      }, timeoutMs)
      waiting.add(look)
      look()
    })

  return {
    world,
    client,
    nodes: names,
    linkOf: (node) => addresses?.nodes.find(({ name }) => name === node)?.link,
    timeline,
    versions,
    apply: async (version, rollout = {}) => {
      const number = Number(version.slice(1))
      const spec = {
        model: { uri: `${world.store}/models/silero_vad_${number % 2 === 0 ? 'v5' : 'v6'}.onnx`, version },
        replicas: 2,
        resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
        traffic: { mode: 'Router' },
        rollout: {
          strategy: 'Canary',
          steps: [
            { weight: 20, minDuration: '1s' },
            { weight: 50, minDuration: '1s' },
          ],
          analysis: { minSamples: 20 },
          keepPreviousFor: '2m',
          ...rollout,
        },
      }
      await shell.kubectl(['apply', '-f', '-'], manifestOf(namespace, modelName, spec))
      return client.get(modelDeployments, namespace, modelName)
    },
    command: async (op, candidate) => {
      commands += 1
      const text = JSON.stringify({ id: `bench-${Date.now()}-${commands}`, op, candidate, by: 'bench' })
      const annotations = { [commandAnnotation]: text }
      await client.mergePatch(modelDeployments, namespace, modelName, { metadata: { annotations } })
    },
    until,
    load: (name, { keepAlive, timeoutMs }) =>
      startStream(shell, namespace, name, world.images.modelstore, {
        url: `http://${modelName}/v2/models/${modelName}/infer`,
        request,
        rate: 15,
        seconds: 7200,
        keepAlive,
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(home !== undefined && { node: home }),
        labels: { [userLabel]: '' },
      }),
    pods: async (labelSelector) => (await client.list(pods, { namespace, labelSelector })).items,
    operators: async () => {
      const labelSelector = 'app.kubernetes.io/component=operator'
      return (await client.list(pods, { namespace: 'slipway-system', labelSelector })).items
    },
    drain: async (node) => {
      const who = ['--ignore-daemonsets', '--delete-emptydir-data', `--pod-selector=!${userLabel}`]
      await shell.kubectl(['drain', node, ...who, '--timeout=240s'])
    },
    routersReady: async () => {
      for (const deadline = Date.now() + 180_000; ; await sleep(500)) {
        const routers = await client.find(deployments, namespace, 'slipway-router')
        const { readyReplicas = 0, replicas = 0 } = routers?.status ?? {}
        if (readyReplicas === routers?.spec?.replicas && replicas === readyReplicas) return
        if (Date.now() > deadline) throw new Error(`after 3 minutes ${readyReplicas} of 2 routers are ready`)
      }
    },
    close: async () => {
      stop.abort()
      await running
      await client.transport.close()
      await world.close()
    },
  }
}

/** Two nodes; from here on they are the cluster that KUBECONFIG names. */
const bringUp = async (cluster: string, report: (line: string) => void): Promise<ClusterAddresses> => {
  await up({ name: cluster, kind: 'nodes', nodes: 2, report })
  process.env['KUBECONFIG'] = kubeconfigOf(cluster)
  return clusterAddresses(cluster, (await readState(cluster))?.index ?? -1, 2)
}
