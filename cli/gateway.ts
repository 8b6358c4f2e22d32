// What a spec in mode Gateway needs of the cluster and does not find there, told before it is applied. It only reads.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { isForbidden } from '../operator/kube/errors.ts'
import { apiMissing, gatewayMissing } from '../operator/modeldeployment/gateway/missing.ts'
import { gateways, gatewayTypes } from '../operator/modeldeployment/resources.ts'
import type { Cluster } from './cluster.ts'
import type { Refusal } from './forecast.ts'

/** Undefined in the other modes, and where nothing is missing or may not be looked at. */
export const missingAtGateway = async (
  { client, namespace }: Cluster,
  { spec: { traffic } }: ModelDeployment,
): Promise<Refusal | undefined> => {
  if (traffic.mode !== 'Gateway') return undefined
  const [{ group, version }] = gatewayTypes
  const kinds = await client.servedKinds(group, version)
  if (!gatewayTypes.every(({ kind }) => kinds.includes(kind))) return apiMissing
  for (const [index, parent] of (traffic.gateway?.parentRefs ?? []).entries()) {
    try {
      if ((await client.find(gateways, parent.namespace ?? namespace, parent.name)) !== undefined) continue
    } catch (error) {
      // The person may not look there; the operator may.
      if (!isForbidden(error)) throw error
      continue
    }
    return gatewayMissing(index, parent, namespace)
  }
  return undefined
}
