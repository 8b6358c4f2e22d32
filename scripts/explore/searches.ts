// What `npm run explore` explores: the searches with their bounds.
import { type Bounds, orderOf } from '../../operator/rollout/explore.ts'
import { routerSpec } from '../../operator/rollout/world.ts'

const canary = routerSpec({ strategy: 'Canary', steps: [{ weight: 50, minDuration: '0s' }] }, { replicas: 1 })
const base: Omit<Bounds, 'maxStates'> = {
  spec: canary,
  versions: 2,
  routers: 2,
  controllers: 2,
  edits: 1,
  losses: 0,
  replacements: 0,
  hours: 0,
  commands: [],
  faults: {},
}

export interface Search {
  readonly name: string
  readonly bounds: Partial<Bounds>
  /** `Quick`: some seconds. `Long`: too long for every change; the others are explored for each. */
  readonly length?: 'Quick' | 'Long'
}

/** What each search bounds. */
export const searches: readonly Search[] = [
  { name: 'canary: 2 controllers, 3 versions, 2 edits, a pod lost', bounds: { versions: 3, edits: 2, losses: 1 } },
  { name: 'canary: 2 controllers, 2 edits, an hour, a pod lost', bounds: { edits: 2, losses: 1, hours: 1 } },
  { name: 'canary: 2 controllers, a router replaced', bounds: { replacements: 1 }, length: 'Quick' },
  {
    name: 'canary: abort, promote, rollback at any moment',
    bounds: { controllers: 1, commands: ['abort', 'promote', 'rollback'].map((op) => orderOf(op, 2)) },
    length: 'Quick',
  },
  {
    name: 'canary in two steps of two pods: 3 versions, 2 edits, a pod lost',
    bounds: {
      spec: routerSpec(
        {
          strategy: 'Canary',
          steps: [
            { weight: 10, minDuration: '0s' },
            { weight: 60, minDuration: '0s' },
          ],
        },
        { replicas: 2 },
      ),
      controllers: 1,
      versions: 3,
      edits: 2,
      losses: 1,
    },
  },
  {
    name: 'blue-green: 2 controllers, 2 edits, an hour',
    bounds: { spec: routerSpec({ strategy: 'BlueGreen' }, { replicas: 1 }), edits: 2, hours: 1 },
  },
  {
    name: 'recreate: 2 controllers, 2 edits',
    bounds: { spec: routerSpec({ strategy: 'Recreate' }, { replicas: 1 }), edits: 2 },
    length: 'Quick',
  },
  {
    name: 'canary with a gate: five commands at any moment',
    bounds: {
      controllers: 1,
      spec: routerSpec(
        { strategy: 'Canary', steps: [{ weight: 50, minDuration: '0s', gate: 'Manual' }] },
        { replicas: 1 },
      ),
      commands: ['pause', 'resume', 'promote', 'abort', 'retry'].map((op) => orderOf(op, 2)),
    },
  },
  {
    name: 'blue-green: 2 controllers, 3 versions, 2 edits, a pod lost',
    bounds: {
      spec: routerSpec({ strategy: 'BlueGreen' }, { replicas: 1 }),
      versions: 3,
      edits: 2,
      losses: 1,
    },
  },
  {
    name: 'recreate: 2 controllers, 3 versions, 2 edits',
    bounds: { spec: routerSpec({ strategy: 'Recreate' }, { replicas: 1 }), versions: 3, edits: 2 },
  },
  {
    name: 'recreate: 2 controllers, 3 versions, 2 edits, a pod lost',
    bounds: { spec: routerSpec({ strategy: 'Recreate' }, { replicas: 1 }), versions: 3, edits: 2, losses: 1 },
  },
  {
    name: 'canary that borrows of three pods: 2 controllers, 2 edits, a pod lost',
    bounds: {
      spec: routerSpec(
        { strategy: 'Canary', capacity: 'Borrow', steps: [{ weight: 50, minDuration: '0s' }] },
        { replicas: 3 },
      ),
      edits: 2,
      losses: 1,
    },
  },
  {
    name: 'canary: 2 controllers, 2 edits, an hour, a router replaced',
    bounds: { edits: 2, hours: 1, replacements: 1 },
  },
  {
    // The longest: more than 2.5 million states.
    name: 'canary: 2 controllers, 3 versions, 2 edits, an hour, a pod lost',
    bounds: { versions: 3, edits: 2, losses: 1, hours: 1 },
    length: 'Long',
  },
]

export const boundsOf = ({ bounds }: Search, maxStates: number): Bounds => ({ ...base, ...bounds, maxStates })
