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

/** What the verdict of a step looks at. */
const judged = ['errorFloor', 'minSamples']

/** What only routers can do: they count, and they let pods stop before others start. */
const onlyCounted = (honoured: string, found: string, { traffic }: ModelDeploymentSpec): string | undefined =>
  traffic.mode === 'Router' ? undefined : unless(honoured, found)

/** Steps and what decides in them exist only where routers share the traffic out. */
const onlyRouted = (honoured: string, found: string, { traffic }: ModelDeploymentSpec): string | undefined =>
  traffic.mode === 'Direct' ? unless(honoured, found) : undefined

/** A Gateway shares out as routers do. */
const unlessShared = ({ rollout: { strategy }, traffic }: ModelDeploymentSpec): string =>
  strategy === 'Canary' && traffic.mode === 'Gateway' ? 'BlueGreen' : strategy

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
  {
    field: 'spec.rollout.strategy',
    found: (spec) => onlyCounted('BlueGreen', unlessShared(spec), spec),
    instead: 'use BlueGreen, Canary with traffic.mode Router or Gateway, or Recreate with traffic.mode Router',
  },
  {
    // The schema refuses it; an object that is older than that rule may have it.
    field: 'spec.traffic.sticky',
    found: ({ traffic }) => (traffic.mode === 'Gateway' ? set(traffic.sticky) : undefined),
    instead: 'remove it, or use traffic.mode Router',
  },
  { field: 'spec.rollout.golden', found: ({ rollout }) => set(rollout.golden), instead: 'remove it' },
  { field: 'spec.rollout.shadow', found: ({ rollout }) => set(rollout.shadow), instead: 'remove it' },
  {
    field: 'spec.rollout.analysis',
    found: ({ rollout: { analysis = {} }, traffic }) => {
      const others = Object.keys(analysis).filter((name) => traffic.mode !== 'Router' || !judged.includes(name))
      return others.length === 0 ? undefined : others.join(', ')
    },
    instead: `with traffic.mode Router use only ${judged.join(' and ')}`,
  },
  {
    field: 'spec.rollout.capacity',
    found: (spec) => onlyCounted('Surge', spec.rollout.capacity, spec),
    instead: 'use Surge, or traffic.mode Router',
  },
  {
    field: 'spec.rollout.deadlines.step',
    found: (spec) => onlyRouted('30m', spec.rollout.deadlines.step, spec),
    instead: 'leave it at 30m, or set traffic.mode to Router or Gateway',
  },
  {
    field: 'spec.rollout.deadlines.total',
    found: (spec) => onlyRouted('4h', spec.rollout.deadlines.total, spec),
    instead: 'leave it at 4h, or set traffic.mode to Router or Gateway',
  },
  {
    field: 'spec.rollout.onInconclusive',
    found: (spec) => onlyRouted('Hold', spec.rollout.onInconclusive, spec),
    instead: 'use Hold, or traffic.mode Router or Gateway',
  },
  {
    field: 'spec.rollout.onNoTraffic',
    found: (spec) => onlyCounted('Proceed', spec.rollout.onNoTraffic, spec),
    instead: 'use Proceed, or traffic.mode Router',
  },
  {
    field: 'spec.rollout.onMetricsError',
    found: (spec) => onlyCounted('Hold', spec.rollout.onMetricsError, spec),
    instead: 'use Hold, or traffic.mode Router',
  },
  {
    field: 'spec.rollout.onStableUnhealthy',
    found: (spec) => onlyRouted('PreferHealthy', spec.rollout.onStableUnhealthy, spec),
    instead: 'use PreferHealthy, or traffic.mode Router or Gateway',
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
