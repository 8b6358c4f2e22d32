// The operator's process, top to bottom: configuration, a client, caches and two controllers, run until told to stop.
import { ConfigError, readConfig, type Config } from './config.ts'
import { Manager, runToExit } from './controller/manager.ts'
import { KubeClient } from './kube/client.ts'
import { loadCredentials } from './kube/credentials.ts'
import { EventRecorder } from './kube/events.ts'
import { LeaderLease } from './kube/lease.ts'
import { Transport } from './kube/transport.ts'
import { modelDeploymentControllers } from './modeldeployment/controller.ts'
import { createLogger } from './telemetry/log.ts'
import { createRegistry } from './telemetry/metrics.ts'

const start = async (config: Config): Promise<void> => {
  const log = createLogger({ level: config.logLevel, service: 'slipway-operator' })
  const registry = createRegistry()
  const credentials = await loadCredentials(config.kubernetes)
  // A connection for each who works, and a few for routers, Events and pods that are taken out.
  const connections = config.workers + 6
  const transport = new Transport({ credentials, registry, connections, userAgent: 'slipway-operator' })
  const client = new KubeClient(transport)
  const events = new EventRecorder({ client, log, registry, component: 'slipway-operator', instance: config.identity })
  const lease = new LeaderLease({ client, log, registry, identity: config.identity, ...config.lease })
  const { controllers, followers, watches } = modelDeploymentControllers({
    client,
    events,
    log,
    registry,
    releaseImage: config.runtimeImage,
    router: config.router,
    resyncMs: config.resyncMs,
    namespaces: config.watchNamespaces,
    workers: config.workers,
    relistMs: config.relistMs,
  })
  const manager = new Manager({
    log,
    registry,
    transport,
    followers,
    controllers,
    watches,
    lease,
    events,
    http: config.ports,
    resyncMs: config.resyncMs,
  })
  await runToExit(manager, log)
}

try {
  await start(readConfig(process.env))
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  console.error(`slipway-operator cannot start: ${error.message}`)
  process.exitCode = 64
}
