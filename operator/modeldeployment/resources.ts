// Our two kinds as resources of the API, and those of the Gateway API that mode Gateway works with.
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import { group, version } from '../api/objectmeta.ts'
import { resource, type ResourceType } from '../kube/resources.ts'
import type { KubeObject } from '../kube/types.ts'

export const modelDeployments = resource<ModelDeployment>(group, version, 'modeldeployments', 'ModelDeployment')
export const modelRevisions = resource<ModelRevision>(group, version, 'modelrevisions', 'ModelRevision')

/** @see https://gateway-api.sigs.k8s.io/reference/spec/ */
const gatewayApi = ['gateway.networking.k8s.io', 'v1'] as const

/** A Gateway that a route attaches to. */
export interface ParentReference {
  readonly name: string
  readonly namespace?: string
  readonly sectionName?: string
  readonly port?: number
}

/** One condition of a route at one of its parents. @see metav1.Condition */
export interface RouteCondition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly observedGeneration?: number
}

/** HTTPRoute and GRPCRoute, as far as we read them. */
export interface Route extends KubeObject {
  readonly spec?: {
    readonly parentRefs?: readonly ParentReference[]
    readonly rules?: readonly {
      readonly backendRefs?: readonly { readonly name: string; readonly weight?: number }[]
    }[]
  }
  readonly status?: {
    readonly parents?: readonly {
      readonly parentRef: ParentReference
      readonly controllerName?: string
      readonly conditions?: readonly RouteCondition[]
    }[]
  }
}

export const httpRoutes = resource<Route>(...gatewayApi, 'httproutes', 'HTTPRoute')
export const grpcRoutes = resource<Route>(...gatewayApi, 'grpcroutes', 'GRPCRoute')
export const gateways = resource(...gatewayApi, 'gateways', 'Gateway')

/** All that mode Gateway needs; GRPCRoute has been in v1 since release 1.1 of the Gateway API. */
export const gatewayTypes: readonly [ResourceType, ...ResourceType[]] = [httpRoutes, grpcRoutes, gateways]
