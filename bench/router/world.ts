// What is measured: two revisions of one model behind routers that the operator made, on a real node. Then the operator
// is sent away and its part is played here: what it would write into the status is written, and nothing else, so that a
// thousand settings can be asked for and a router that loses something cannot be helped by anybody.
import { setTimeout as sleep } from 'node:timers/promises'
import type { RouterState } from '../../operator/api/routerstate.ts'
import { KubeClient } from '../../operator/kube/client.ts'
import { loadCredentials } from '../../operator/kube/credentials.ts'
import { Transport } from '../../operator/kube/transport.ts'
import { modelDeployments } from '../../operator/modeldeployment/resources.ts'
import { agentPort } from '../../operator/api/routerstate.ts'
import { ModelInferRequest } from '../../runtime/grpc/api/inference.ts'
import { encode } from '../../runtime/grpc/protobuf/message.ts'
import { e2e, type E2E } from '../../test/kit/e2e.ts'
import { applyModel, getModel, serves, waitForModel } from '../../test/kit/model.ts'
import { clientPod, startLoad, type LoadOptions, type RunningLoad } from './client.ts'

/** Thousandths of the candidate. */
export interface Asked {
  readonly candidate: number
  readonly mirror?: { readonly revision: string; readonly perMille: number }
}

export interface Pod {
  readonly name: string
  readonly address: string
}

export interface World extends E2E {
  readonly client: KubeClient
  readonly stable: string
  readonly candidate: string
  /** The model's port on the routers. */
  readonly port: number
  /** How many pods each revision has. */
  readonly replicas: number
  /** Writes the setting into the status. @returns its epoch */
  ask(asked: Asked): Promise<number>
  /** And resolves when every router has applied it. @returns how long that took from the write on, in milliseconds */
  apply(asked: Asked): Promise<number>
  /** Resolves when all routers say that they have applied the epoch for the model. */
  acknowledged(epoch: number, model?: string): Promise<void>
  routers(): Promise<readonly Pod[]>
  podsOf(revision: string): Promise<readonly Pod[]>
  stateOf(router: string): Promise<RouterState>
  /** The size of `/state` in bytes. */
  stateSize(router: string): Promise<number>
  /** Load on the model's Service unless the options say otherwise. */
  load(options?: Partial<LoadOptions>): Promise<RunningLoad>
  /** Waits until every router and every pod of both revisions is there and ready. */
  whole(): Promise<void>
  /** A file of a process in a container, as `/proc/1/status`. */
  read(pod: string, container: string, file: string): Promise<string>
}

export const model = 'sum'
const replicas = 2
/** The routers' acknowledgement is looked for this often. */
const lookMs = 5

export const openWorld = async (report: (line: string) => void): Promise<World> => {
  report('the cluster, the images, Slipway')
  const base = await e2e('bench-router')
  const { shell, namespace } = base
  const kubeconfig = shell.env['KUBECONFIG']
  const transport = new Transport({ credentials: await loadCredentials({ kubeconfig }), userAgent: 'bench' })
  const client = new KubeClient(transport)
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify(clientManifest(namespace, base.images.modelstore)))
  const spec = (version: string): Record<string, unknown> => ({
    model: { uri: `${base.store}/models/add.onnx`, version },
    replicas,
    resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '512Mi' } },
    traffic: { mode: 'Router' },
  })
  report('a model with two revisions, its routers')
  await applyModel(shell, namespace, model, spec('one'))
  await waitForModel(shell, namespace, model, 'Ready', serves('one'))
  const held = { strategy: 'Canary', steps: [{ weight: 50, minDuration: '1s', gate: 'Manual' }] }
  await applyModel(shell, namespace, model, { ...spec('two'), rollout: held })
  const { status } = await waitForModel(shell, namespace, model, 'sharing out', (m) => {
    return m.status?.traffic?.weights.length === 2 && m.status.traffic.weights.every(({ weight }) => weight > 0)
  })
  const [stable = '', candidate = ''] = [status?.stable?.revision, status?.candidate?.revision]
  const port = status?.traffic?.port ?? 0
  report('the operator is sent away')
  const operator = ['-n', 'slipway-system', 'deployment/slipway-operator']
  const operators = async (count: number): Promise<void> => {
    await shell.kubectl(['scale', ...operator, `--replicas=${count}`])
    if (count > 0) await shell.kubectl(['rollout', 'status', ...operator, '--timeout=120s'])
    else
      await shell.kubectl([
        'wait',
        '-n',
        'slipway-system',
        'pod',
        '-l',
        'app.kubernetes.io/component=operator',
        '--for=delete',
        '--timeout=60s',
      ])
  }
  await operators(0)
  let epoch = (await getModel(shell, namespace, model)).status?.traffic?.epoch ?? 0

  const get = async (router: string): Promise<string> => {
    const path = `/api/v1/namespaces/${namespace}/pods/${router}:${agentPort}/proxy/state`
    return (await transport.call({ method: 'GET', path, asked: { verb: 'get', resource: 'state', name: router } })).text
  }
  const pods = async (selector: string): Promise<readonly Pod[]> => {
    const { items } = await shell.json<PodList>(['get', 'pods', '-n', namespace, '-l', selector])
    return items
      .filter(({ metadata, status: { podIP } }) => metadata.deletionTimestamp === undefined && podIP !== undefined)
      .map(({ metadata: { name }, status: { podIP = '' } }) => ({ name, address: podIP }))
  }
  const world: World = {
    ...base,
    client,
    stable,
    candidate,
    port,
    replicas,
    ask: async ({ candidate: weight, mirror }) => {
      epoch += 1
      const weights = [
        { revision: stable, weight: 1000 - weight },
        { revision: candidate, weight },
      ]
      const traffic = { epoch, weights, mirror: mirror ?? null }
      await client.mergePatch(modelDeployments, namespace, model, { status: { traffic } }, { subresource: 'status' })
      return epoch
    },
    apply: async (asked) => {
      const startedAt = performance.now()
      await world.acknowledged(await world.ask(asked))
      return performance.now() - startedAt
    },
    acknowledged: async (wanted, name = model) => {
      const routers = await knownRouters()
      await Promise.all(
        routers.map(async (router) => {
          for (const deadline = Date.now() + 60_000; ; await sleep(lookMs)) {
            // A router that is being started answers 503.
            const state = await get(router.name).then((text) => JSON.parse(text) as RouterState, String)
            const seen = typeof state === 'string' ? undefined : state.models.find((m) => m.name === name)
            if (seen?.appliedEpoch === wanted) return
            if (seen?.problem !== undefined) throw new Error(`${router.name} refuses ${name}: ${seen.problem}`)
            if (Date.now() > deadline)
              throw new Error(`${router.name} does not apply epoch ${wanted}: ${JSON.stringify(seen ?? state)}`)
          }
        }),
      )
    },
    routers: () => pods('app.kubernetes.io/name=slipway-router'),
    podsOf: (revision) => pods(`slipway.dev/revision=${revision}`),
    stateOf: async (router) => JSON.parse(await get(router)) as RouterState,
    stateSize: async (router) => Buffer.byteLength(await get(router)),
    load: (options = {}) => startLoad(shell, namespace, { ...small, ...options }),
    whole: async () => {
      known = undefined
      for (const target of ['slipway-router', stable, candidate])
        await shell.kubectl(['rollout', 'status', '-n', namespace, `deployment/${target}`, '--timeout=180s'])
      await base.until('no pod is ending', async () => {
        const { items } = await shell.json<PodList>([
          'get',
          'pods',
          '-n',
          namespace,
          '-l',
          'app.kubernetes.io/managed-by=slipway',
        ])
        return items.every(({ metadata }) => metadata.deletionTimestamp === undefined)
      })
      await world.acknowledged(epoch)
    },
    read: (pod, container, file) => readFileIn(world, pod, container, file),
    close: async () => {
      await operators(1)
      await client.transport.close()
      await base.close()
    },
  }
  /** They are listed once: a list takes longer than an acknowledgement. */
  let known: Promise<readonly Pod[]> | undefined
  const knownRouters = (): Promise<readonly Pod[]> => (known ??= world.routers())
  await world.whole()
  return world
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string }
    readonly status: { readonly podIP?: string }
  }[]
}

/** The official image of Envoy has cat and no Node, ours has Node and no cat. */
const readFileIn = ({ shell, namespace }: World, pod: string, container: string, file: string): Promise<string> => {
  const exec = ['exec', '-n', namespace, pod, '-c', container, '--']
  const program = 'process.stdout.write(require("node:fs").readFileSync(process.argv[1]))'
  return shell.kubectl([...exec, 'node', '-e', program, file]).catch(() => shell.kubectl([...exec, 'cat', file]))
}

export const clientManifest = (namespace: string, image: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: clientPod, namespace },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'client', image, command: ['node', '/app/load.mjs'] }],
  },
})

const inputs = ['a', 'b']
const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** One row of four numbers for each input, as JSON. */
export const small: LoadOptions = {
  protocol: 'http1',
  host: model,
  port: 80,
  path: `/v2/models/${model}/infer`,
  bodyBase64: base64(
    JSON.stringify({ inputs: inputs.map((name) => ({ name, shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] })) }),
  ),
  contentHeaders: { 'content-type': 'application/json' },
  workers: 8,
  keepAlive: true,
  rate: 0,
}

/** The same as a gRPC message. */
export const smallGrpc = (): Partial<LoadOptions> => {
  const raw = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
  const message = encode(ModelInferRequest, {
    model_name: model,
    inputs: inputs.map((name) => ({ name, datatype: 'FP32', shape: [1n, 4n] })),
    raw_input_contents: inputs.map(() => raw),
  })
  return { protocol: 'grpc', port: 9000, bodyBase64: message.toString('base64') }
}

/** 602,112 bytes of tensors: as many as a picture of 3 × 224 × 224 numbers. */
export const large = (): Partial<LoadOptions> => {
  const rows = (3 * 224 * 224) / 4 / inputs.length
  const sizeBytes = rows * 4 * 4
  const head = JSON.stringify({
    inputs: inputs.map((name) => ({
      name,
      shape: [rows, 4],
      datatype: 'FP32',
      parameters: { binary_data_size: sizeBytes },
    })),
    outputs: [{ name: 'sum', parameters: { binary_data: true } }],
  })
  return {
    bodyBase64: Buffer.concat([Buffer.from(head), Buffer.alloc(sizeBytes * inputs.length, 1)]).toString('base64'),
    contentHeaders: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.length),
    },
  }
}
