// What the schema describes and this release cannot do yet. Each row refuses its field by name: nothing is ignored.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'

interface Refused {
  readonly field: string
  /** What was found, or undefined where the field is unset or at the value that is honoured. */
  readonly found: (spec: ModelDeploymentSpec) => string | undefined
  readonly instead: string
}

const unless = (honoured: string, found: string | undefined): string | undefined =>
  found === honoured ? undefined : found
const set = (value: unknown): string | undefined => (value === undefined ? undefined : 'set')
const scheme = (uri: string): string => uri.slice(0, uri.indexOf('://'))

const table: readonly Refused[] = [
  {
    field: 'spec.model.uri',
    found: ({ model }) =>
      ['http', 'https', 'pvc'].includes(scheme(model.uri)) ? undefined : `${scheme(model.uri)}://`,
    instead: 'use http://, https:// or pvc://',
  },
  {
    field: 'spec.model.credentialsSecret',
    found: ({ model }) => set(model.credentialsSecret),
    instead: 'use a store that needs no credentials',
  },
  { field: 'spec.runtime.device', found: ({ runtime }) => unless('CPU', runtime?.device ?? 'CPU'), instead: 'use CPU' },
  { field: 'spec.traffic.mode', found: ({ traffic }) => unless('Direct', traffic.mode), instead: 'use Direct' },
  {
    field: 'spec.rollout.strategy',
    found: ({ rollout }) => unless('BlueGreen', rollout.strategy),
    instead: 'use BlueGreen',
  },
  { field: 'spec.rollout.golden', found: ({ rollout }) => set(rollout.golden), instead: 'remove it' },
  { field: 'spec.rollout.shadow', found: ({ rollout }) => set(rollout.shadow), instead: 'remove it' },
  { field: 'spec.rollout.analysis', found: ({ rollout }) => set(rollout.analysis), instead: 'remove it' },
  { field: 'spec.rollout.capacity', found: ({ rollout }) => unless('Surge', rollout.capacity), instead: 'use Surge' },
  {
    field: 'spec.rollout.deadlines.step',
    found: ({ rollout }) => unless('30m', rollout.deadlines.step),
    instead: 'leave it at 30m',
  },
  {
    field: 'spec.rollout.deadlines.total',
    found: ({ rollout }) => unless('4h', rollout.deadlines.total),
    instead: 'leave it at 4h',
  },
  {
    field: 'spec.rollout.onInconclusive',
    found: ({ rollout }) => unless('Hold', rollout.onInconclusive),
    instead: 'use Hold',
  },
  {
    field: 'spec.rollout.onNoTraffic',
    found: ({ rollout }) => unless('Proceed', rollout.onNoTraffic),
    instead: 'use Proceed',
  },
  {
    field: 'spec.rollout.onMetricsError',
    found: ({ rollout }) => unless('Hold', rollout.onMetricsError),
    instead: 'use Hold',
  },
  {
    field: 'spec.rollout.onStableUnhealthy',
    found: ({ rollout }) => unless('PreferHealthy', rollout.onStableUnhealthy),
    instead: 'use PreferHealthy',
  },
]

/** One sentence naming every field that this release cannot honour, or undefined when it can honour the whole spec. */
export const notImplemented = (spec: ModelDeploymentSpec): string | undefined => {
  const found = table.flatMap(({ field, found, instead }) => {
    const value = found(spec)
    return value === undefined ? [] : [`${field} (found ${value}; ${instead})`]
  })
  return found.length === 0 ? undefined : `This release cannot do: ${found.join(', ')}.`
}
