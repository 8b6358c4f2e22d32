// The process's metric registry: CPU, memory, garbage collection and event-loop lag come with it.
import { collectDefaultMetrics, Registry } from 'prom-client'

/** A registry with Node's own metrics in it; `nodejs_eventloop_lag_p99_seconds` is the one to alert on. */
export const createRegistry = (): Registry => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10 })
  return registry
}
