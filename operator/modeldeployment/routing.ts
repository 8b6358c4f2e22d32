// The way from users to pods, besides what the rollout decides: where the Service points, and the object's port on the
// routers. Pure: types and what is read from an object; it is gathered by routersight.ts.
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import type { MeasuredShare } from '../routers/shares.ts'
import type { RouteSight } from './gateway/sight.ts'

/** Where a Service sends users. */
export type Destination =
  | { readonly kind: 'Routers' }
  /** The pods of one revision; without a name: somebody edited the selector. */
  | { readonly kind: 'Pods'; readonly revision: string | undefined }
  | { readonly kind: 'Nowhere' }

/** How users come to the pods, besides what the rollout decides. */
export interface Routing {
  readonly destination: Destination
  /** The port that the object has or is to have; unset where it needs none any more. */
  readonly port?: number
  /** Ready endpoints of the Service, when it points at routers. */
  readonly readyRouters: number
  /** What stands in the way of the routers, in a sentence. */
  readonly problem?: string
  /** Judged shares of the persisted epoch, once there is enough to judge and it is time to. */
  readonly measured?: readonly MeasuredShare[]
  /** What was counted of the persisted epoch, as far as it is worth keeping. */
  readonly analysis?: NonNullable<ModelDeploymentStatus['analysis']>
  /** When clients may be taken for gone from the routers, in milliseconds since the epoch; set while the object leaves them. */
  readonly leavesAt?: number
  /** The object's routes at Gateways; set in mode Gateway, and while one may still be used. */
  readonly routes?: RouteSight
}

/** Whether users come through routers, or are to. */
export const isRouted = ({ spec }: Pick<ModelDeployment, 'spec'>): boolean => spec.traffic.mode === 'Router'

/** Whether users come through a Gateway, or are to. */
export const isAtGateway = ({ spec }: Pick<ModelDeployment, 'spec'>): boolean => spec.traffic.mode === 'Gateway'

/** Whether what routers say can change something for this object: a settled and verified one asks nobody. */
export const isWatched = ({ status, spec }: ModelDeployment): boolean => {
  const { candidate, previous, traffic, conditions, stable } = status ?? {}
  if (spec.suspend) return false
  // Without a stable revision the status may have been lost, and the routers know.
  // While previous is warm a failing stable goes back to it, and that takes figures and acknowledgements.
  if (candidate !== undefined || previous !== undefined || stable === undefined || traffic === undefined) return true
  if (traffic.routers === undefined || traffic.routers.acked < traffic.routers.total || traffic.routers.total === 0)
    return true
  // Nobody will ever count.
  if (spec.traffic.mode === 'Gateway') return false
  return conditions?.find(({ type }) => type === 'TrafficVerified')?.status !== 'True'
}
