// An operator as a process of its own: leads, then works on one key for as long as it is told. The manager test ends it
// in several ways. Arguments: namespace, milliseconds of work, `heed` or `ignore` the signal to stop.
import { setTimeout as sleep } from 'node:timers/promises'
import { Controller } from '../../../operator/controller/controller.ts'
import { Manager, runToExit } from '../../../operator/controller/manager.ts'
import { EventRecorder } from '../../../operator/kube/events.ts'
import { LeaderLease } from '../../../operator/kube/lease.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { configmaps, type ConfigMap } from '../../../operator/kube/resources.ts'
import { Store } from '../../../operator/kube/store.ts'
import { createLogger } from '../../../operator/telemetry/log.ts'
import { configMap, connect, leaseTimes } from './server.ts'

const [namespace = '', workMs = '0', heeds = 'heed'] = process.argv.slice(2)
const { client, registry } = await connect()
const log = createLogger({ level: 'info', service: 'test' })
const store = new Store<ConfigMap>()
const events = new EventRecorder({ client, log, component: 'test', instance: 'process', registry })
const controller = new Controller({
  name: 'test',
  log,
  registry,
  reconcile: async (_, { signal }) => {
    console.log('working')
    await sleep(Number(workMs), undefined, heeds === 'heed' ? { signal } : {})
    const written = await client.apply(configmaps, configMap(namespace, 'result'))
    events.record(written, { type: 'Normal', reason: 'Worked', message: 'to the end' })
    console.log('worked')
  },
})
const lease = new LeaderLease({ client, namespace, name: 'leader', identity: 'process', log, registry, ...leaseTimes })
const manager = new Manager({
  log,
  registry,
  transport: client.transport,
  followers: [new Reflector({ client, type: configmaps, store, namespace, log, registry })],
  controllers: [controller],
  lease,
  events,
  graceMs: 2000,
  http: { metricsPort: 0, healthPort: 0, host: '127.0.0.1' },
})
controller.queue.add('one')
await runToExit(manager, log)
