// A router without a cluster: the real Envoy, the agent that runs beside it in a pod, and pods on loopback. What the API
// server would have told the agent is put into its stores by hand.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'undici'
import type { ModelDeployment } from '../../../operator/api/modeldeployment.ts'
import type { ModelTraffic, RouterState } from '../../../operator/api/routerstate.ts'
import type { EndpointSlice } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { Agent } from '../../../router/agent.ts'
import { readConfig } from '../../../router/config.ts'
import { EnvoyAdmin, EnvoyGone } from '../../../router/envoy/admin.ts'
import { prepare } from '../../../router/prepare.ts'
import { EnvoyLog } from '../../../router/envoy/log.ts'
import { MemoryFile } from '../../../router/publish/memory.ts'
import { Publisher } from '../../../router/publish/publisher.ts'
import { serveDiscovery } from '../../../router/stream/server.ts'
import { eventually } from '../operator/eventually.ts'
import { startEnvoy, type EnvoyProcess } from './envoy.ts'
import { adminSocket, bootstrapFile } from '../../../router/xds/bootstrap.ts'
import { deploymentOf, sliceOf, type Condition, type Traffic } from './objects.ts'
import { startPod, type Pod, type PodOptions } from './upstream.ts'

export interface RouterStage {
  readonly folder: string
  readonly port: number
  envoy(): EnvoyProcess
  agent(): Agent
  startPod(revision: string, options?: PodOptions): Promise<Pod>
  /** The pods that there are now, and in which condition. */
  pods(pods: readonly (Pod | readonly [Pod, Condition])[]): void
  /** What is in the status of the objects now; resolves at once. */
  ask(...traffic: readonly Traffic[]): void
  /** As `ask`, of the one model on `port`; resolves when Envoy has applied the epoch. */
  apply(traffic: Omit<Traffic, 'port'>): Promise<ModelTraffic>
  state(): Promise<RouterState>
  /** One of Envoy's own figures; 0 as long as it has not been counted. */
  figure(name: string): Promise<number>
  model(name?: string): Promise<ModelTraffic>
  /** The model's state once the claim holds. */
  until(what: string, holds: (model: ModelTraffic) => boolean, name?: string): Promise<ModelTraffic>
  restartEnvoy(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** The agent ends and another one begins with what is on the disk. @param heard whether the API server answers it */
  restartAgent(heard: boolean): Promise<void>
  close(): Promise<void>
}

export interface RouterOptions {
  /** Envoy's worker threads. */
  readonly concurrency?: number
  /** What Envoy may take. Nothing holds its process to that here. */
  readonly memoryBytes?: number
  /** How many connections it takes, instead of its 20,000. */
  readonly maxConnections?: number
}

export const openRouter = async (options: RouterOptions = {}): Promise<RouterStage> => {
  const { concurrency = 1, memoryBytes, maxConnections } = options
  const folder = await mkdtemp(join(tmpdir(), 'slipway-router-'))
  const environment = { POD_NAMESPACE: 'shop', POD_NAME: 'router-0', SLIPWAY_ROUTER_FOLDER: folder }
  await prepare(readConfig({ ...environment, SLIPWAY_ENVOY_MEMORY: memoryBytes?.toString() }))
  if (maxConnections !== undefined) await limitConnections(join(folder, bootstrapFile), maxConnections)
  const port = await freePort()
  let envoy = await startEnvoy(folder, concurrency)
  const pods: Pod[] = []
  let deployments: readonly ModelDeployment[] = []
  let slices: readonly EndpointSlice[] = []
  let run = await startAgent(folder)
  const tell = (): void => {
    run.deployments.replace(deployments, '1')
    run.slices.replace(slices, '1')
  }
  tell()
  const stage: RouterStage = {
    folder,
    port,
    envoy: () => envoy,
    agent: () => run.agent,
    startPod: async (revision, options) => {
      const pod = await startPod(revision, options)
      pods.push(pod)
      return pod
    },
    pods: (now) => {
      slices = now.map((entry) => ('revision' in entry ? sliceOf(entry) : sliceOf(entry[0], entry[1])))
      tell()
    },
    ask: (...traffic) => {
      deployments = traffic.map(deploymentOf)
      tell()
    },
    apply: (traffic) => {
      stage.ask({ port, ...traffic })
      return stage.until(`epoch ${traffic.epoch} is applied`, ({ appliedEpoch }) => appliedEpoch === traffic.epoch)
    },
    state: () => run.agent.state(),
    figure: async (name) => {
      const envoyAdmin = new Client('http://envoy', { socketPath: join(folder, adminSocket) })
      try {
        const filter = encodeURIComponent(`^${name}$`)
        const { body } = await envoyAdmin.request({ method: 'GET', path: `/stats?format=json&filter=${filter}` })
        const { stats } = (await body.json()) as { stats: { value?: number }[] }
        return stats[0]?.value ?? 0
      } finally {
        await envoyAdmin.close()
      }
    },
    model: async (name = 'fraud') => {
      const { models } = await run.agent.state()
      const model = models.find((m) => m.name === name)
      if (model === undefined) throw new Error(`the router knows no ${name}, only ${models.map((m) => m.name).join()}`)
      return model
    },
    until: (what, holds, name = 'fraud') =>
      eventually(
        what,
        async () => {
          const state = await untroubled(() => stage.state())
          const model = state?.models.find((m) => m.name === name)
          return model !== undefined && holds(model) && model
        },
        async () => JSON.stringify(await untroubled(() => stage.state())),
      ),
    restartEnvoy: async (signal) => {
      await envoy.end(signal)
      envoy = await startEnvoy(folder, concurrency)
    },
    restartAgent: async (heard) => {
      await run.end()
      run = await startAgent(folder)
      if (heard) tell()
    },
    close: async () => {
      await run.end()
      await envoy.end('SIGKILL')
      await Promise.all(pods.map((pod) => pod.kill()))
      await rm(folder, { recursive: true, force: true })
    },
  }
  return stage
}

const limitConnections = async (file: string, most: number): Promise<void> => {
  const text = await readFile(file, 'utf8')
  const limited = text.replace(/("max_active_downstream_connections": )20000/, `$1${most}`)
  if (limited === text) throw new Error(`${file} has no limit of connections`)
  await writeFile(file, limited)
}

/** Undefined while Envoy is away. */
const untroubled = async <T>(ask: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof EnvoyGone) return undefined
    throw error
  }
}

const startAgent = async (folder: string) => {
  const admin = new EnvoyAdmin(folder)
  const publisher = new Publisher(admin, new EnvoyLog(folder, () => {}))
  const discovery = await serveDiscovery(folder, publisher)
  const deployments = new Store<ModelDeployment>()
  const slices = new Store<EndpointSlice>()
  const [deploymentScope, sliceScope] = [deployments.scope(undefined), slices.scope(undefined)]
  const agent = new Agent({
    router: 'router-0',
    render: { listenAddress: '::' },
    deployments,
    slices,
    admin,
    publisher,
    memory: new MemoryFile(folder),
    log: silent,
  })
  const stop = new AbortController()
  const running = agent.run(stop.signal)
  return {
    agent,
    deployments: deploymentScope,
    slices: sliceScope,
    end: async () => {
      stop.abort()
      await running
      await Promise.all([admin.close(), discovery.close()])
    },
  }
}

/** A port below those that the kernel hands out to clients, where the listeners of models stand. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const server = createServer()
    const taken = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(true)).listen(port, '::', () => resolve(false))
    })
    if (taken) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
