// A spec for unit tests, as the API server would return it. Test-only.
import type { ModelDeploymentSpec } from './modeldeployment.ts'

/** The schema's defaults, filled in; `rest` replaces whole fields. test/integration/api proves that these are they. */
export const specOf = (uri: string, rest: Partial<ModelDeploymentSpec> = {}): ModelDeploymentSpec => ({
  model: { uri },
  replicas: 2,
  traffic: { mode: 'Direct' },
  rollout: {
    strategy: 'BlueGreen',
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
