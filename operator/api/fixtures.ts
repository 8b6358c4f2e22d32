// A spec for unit tests, as the API server would return it. Test-only.
import type { ModelDeploymentSpec } from './modeldeployment.ts'

/** The schema's defaults, filled in; `rest` replaces whole fields. test/integration/api proves that these are they. */
export const specOf = (uri: string, rest: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec => ({
  model: { uri },
  replicas: 2,
  traffic: { mode: 'Router' },
  rollout: {
    strategy: 'Canary',
    deadlines: { provision: '15m', step: '30m', total: '4h' },
    capacity: 'Surge',
    onInconclusive: 'Hold',
    onNoTraffic: 'Proceed',
    onMetricsError: 'Hold',
    onStableUnhealthy: 'PreferHealthy',
    keepPreviousFor: '10m',
    paused: false,
    retryToken: '',
  },
  rollback: { to: '' },
  revisionHistoryLimit: 10,
  suspend: false,
  ...rest,
})

/** The plainest way to users: no routers, and all of them at once. */
export const directSpecOf = (uri: string, rest: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec => {
  const spec = specOf(uri, rest)
  return { ...spec, traffic: { mode: 'Direct' }, rollout: { ...spec.rollout, strategy: 'BlueGreen' } }
}
