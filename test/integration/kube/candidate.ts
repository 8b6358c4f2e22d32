// A process that leads: takes the lease, then writes without pause, and says what becomes of each write. The lease test
// freezes it. Arguments: namespace, identity.
import { setTimeout as sleep } from 'node:timers/promises'
import { configmaps } from '../../../operator/kube/resources.ts'
import { LeaderLease } from '../../../operator/kube/lease.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import { configMap, connect, leaseTimes } from './server.ts'

const [namespace = '', identity = ''] = process.argv.slice(2)
const { client } = await connect()
const lease = new LeaderLease({ client, namespace, name: 'leader', identity, log: silent, ...leaseTimes })
lease.lost.addEventListener('abort', () => {
  console.log('lost')
  // What is still running must find the fence closed; then the end, as an operator would.
  setTimeout(() => process.exit(1), 300)
})
await lease.acquire(new AbortController().signal)
console.log('leading')
for (let count = 0; ; count += 1) {
  const data = { count: String(count) }
  const outcome = await client.apply(configmaps, configMap(namespace, 'written', { data })).then(
    () => 'wrote',
    (error: Error) => `${error.name}: ${error.message}`,
  )
  console.log(outcome)
  await sleep(5)
}
