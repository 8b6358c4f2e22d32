// What mode Gateway may find missing in a cluster, in the operator's words. Pure; the command line says the same.
import type { Observed } from '../../rollout/observed.ts'
import type { ParentReference } from '../resources.ts'
import { gatewayInWords } from './acceptance.ts'

type Refusal = NonNullable<Observed['refusal']>

export const apiMissing: Refusal = {
  reason: 'GatewayApiMissing',
  message:
    'traffic.mode Gateway needs HTTPRoute, GRPCRoute and Gateway of gateway.networking.k8s.io/v1, and this API server has not all of them. Install the Gateway API 1.1 or later, or set traffic.mode to Router.',
}

/** @param index its place in spec.traffic.gateway.parentRefs @param own the namespace of the ModelDeployment */
export const gatewayMissing = (index: number, { name, namespace }: ParentReference, own: string): Refusal => ({
  reason: 'GatewayNotFound',
  message: `spec.traffic.gateway.parentRefs[${index}] names ${gatewayInWords({ name, namespace: namespace ?? own }, own)}, which does not exist. Create it, or name one that exists.`,
})
