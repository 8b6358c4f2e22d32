// What the agent keeps of an object. The rest (podTemplate, history, evidence) would only fill its memory. Pure.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import type { EndpointSlice } from '../operator/kube/resources.ts'

export const trimDeployment = ({ apiVersion, kind, metadata, spec, status }: ModelDeployment): ModelDeployment => {
  const { name, namespace, uid, resourceVersion } = metadata
  const { traffic, stable, candidate, previous } = status ?? {}
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    spec: { ...spec, podTemplate: {}, resources: {} },
    ...(status !== undefined && {
      status: {
        ...(traffic && { traffic }),
        ...(stable && { stable }),
        ...(candidate && { candidate }),
        ...(previous && { previous }),
      },
    }),
  }
}

export const trimSlice = ({
  apiVersion,
  kind,
  metadata,
  addressType,
  ports,
  endpoints,
}: EndpointSlice): EndpointSlice => ({
  apiVersion,
  kind,
  metadata: { ...metadata, annotations: {}, ownerReferences: [] },
  addressType,
  endpoints: (endpoints ?? []).map(({ addresses, conditions }) => ({ addresses, ...(conditions && { conditions }) })),
  ...(ports && { ports }),
})
