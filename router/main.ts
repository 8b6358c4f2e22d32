// The agent's process. `init` writes what Envoy is started with, and ends; without a word it runs beside Envoy until it
// is told to end, and then drains it first.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { group, version } from '../operator/api/objectmeta.ts'
import { KubeClient } from '../operator/kube/client.ts'
import { loadCredentials } from '../operator/kube/credentials.ts'
import { Reflector } from '../operator/kube/reflector.ts'
import { endpointslices, resource, type EndpointSlice } from '../operator/kube/resources.ts'
import { Store } from '../operator/kube/store.ts'
import { Transport } from '../operator/kube/transport.ts'
import { createLogger, type Logger } from '../operator/telemetry/log.ts'
import { Agent } from './agent.ts'
import { ConfigError, readConfig, type Config } from './config.ts'
import { drain } from './drain.ts'
import { sliceSelector } from './endpoints.ts'
import { EnvoyAdmin } from './envoy/admin.ts'
import { EnvoyLog } from './envoy/log.ts'
import { startServer } from './http.ts'
import { prepare } from './prepare.ts'
import { MemoryFile } from './publish/memory.ts'
import { Publisher } from './publish/publisher.ts'
import { serveDiscovery } from './stream/server.ts'
import { trimDeployment, trimSlice } from './trim.ts'

const modelDeployments = resource<ModelDeployment>(group, version, 'modeldeployments', 'ModelDeployment')

const run = async (config: Config): Promise<void> => {
  const { folder, namespace, router, listenAddress } = config
  const log = createLogger({ level: config.logLevel, service: 'slipway-router' })
  const stop = new AbortController()
  const admin = new EnvoyAdmin(folder)
  const envoyLog = new EnvoyLog(folder, (entry) => log.info(entry, { 'log.logger': 'envoy' }))
  const publisher = new Publisher(admin, envoyLog)
  const deployments = new Store<ModelDeployment>()
  const slices = new Store<EndpointSlice>()
  const agent = new Agent({
    router,
    render: { listenAddress },
    deployments,
    slices,
    admin,
    publisher,
    memory: new MemoryFile(folder),
    log,
  })
  // First of all: a second agent finds the port taken, and ends before it has taken Envoy's socket.
  const server = await startServer(agent, config.port)
  const discovery = await serveDiscovery(folder, publisher)
  log.info('the agent listens', { port: server.port })
  const ended = untilTold(agent, admin, config, log)

  const transport = new Transport({
    credentials: await loadCredentials(config.kubernetes),
    userAgent: 'slipway-router',
    connections: 2,
  })
  const client = new KubeClient(transport)
  const following = [
    new Reflector({ client, type: modelDeployments, store: deployments, namespace, log, trim: trimDeployment }),
    new Reflector({
      client,
      type: endpointslices,
      store: slices,
      namespace,
      labelSelector: sliceSelector,
      log,
      trim: trimSlice,
    }),
  ].map((reflector) => reflector.run(stop.signal))
  const working = agent.run(stop.signal)

  await Promise.race([ended, working])
  stop.abort()
  await Promise.all([working, ...following])
  await Promise.all([server.close(), discovery.close(), transport.close(), admin.close()])
}

/** Resolves when the drain after SIGTERM or SIGINT is over; a second signal ends the process at once. */
const untilTold = (agent: Agent, admin: EnvoyAdmin, config: Config, log: Logger): Promise<void> =>
  new Promise((resolve, reject) => {
    const told = (): void => {
      if (agent.draining) process.exit(0)
      agent.draining = true
      drain(admin, { delayMs: config.drainDelayMs, timeoutMs: config.drainTimeoutMs }, log).then(resolve, reject)
    }
    process.on('SIGTERM', told)
    process.on('SIGINT', told)
  })

try {
  const config = readConfig(process.env)
  await (process.argv[2] === 'init' ? prepare(config) : run(config))
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  console.error(`slipway-router cannot start: ${error.message}`)
  process.exitCode = 64
}
