// What the rollout engine must never do, noticed while it runs: counted, logged and told as an Event. It never stops
// anything: a rollout that is half way is safer when it goes on.
import { Counter, type Registry } from 'prom-client'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { EventRecorder } from '../kube/events.ts'
import { keyFor } from '../kube/key.ts'
import { invariants, type Violation } from '../rollout/invariants.ts'
import type { Logger } from '../telemetry/log.ts'

export type Watchdog = (deployment: ModelDeployment, violations: readonly Violation[], log: Logger) => void

/** One per registry: `slipway_rollout_violations_total`, by invariant; every label is there from the start, at zero. */
export const watchdog = (registry: Registry, events: Pick<EventRecorder, 'record'>): Watchdog => {
  const counter = new Counter({
    name: 'slipway_rollout_violations_total',
    help: 'Steps of a rollout that broke an invariant of docs/rollouts.md: a bug, to be reported.',
    labelNames: ['invariant'],
    registers: [registry],
  })
  for (const invariant of Object.keys(invariants)) counter.inc({ invariant }, 0)
  return (deployment, violations, log) => {
    for (const { invariant, message } of violations) {
      counter.inc({ invariant })
      const key = keyFor(deployment.metadata.namespace, deployment.metadata.name)
      log.error(`${key} broke invariant ${invariant}: ${message}`)
      events.record(deployment, { type: 'Warning', reason: 'InvariantBroken', message: `${invariant}: ${message}` })
    }
  }
}
