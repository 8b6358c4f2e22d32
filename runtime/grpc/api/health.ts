/**
 * The messages of package `grpc.health.v1`, which Kubernetes' own gRPC probes and most clients speak.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
import type { ProtoFile } from '../protobuf/descriptor.ts'
import { enumeration, message, one } from '../protobuf/message.ts'

/** Numbers of ServingStatus. */
export const servingStatus = { unknown: 0, serving: 1, notServing: 2, serviceUnknown: 3 } as const

const ServingStatus = enumeration('ServingStatus', ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'])
export const HealthCheckRequest = message('HealthCheckRequest', { service: one('string', 1) })
export const HealthCheckResponse = message('HealthCheckResponse', { status: one(ServingStatus, 1) }, [ServingStatus])

export const healthProto: ProtoFile = {
  path: 'health.proto',
  package: 'grpc.health.v1',
  comment: 'The health service of gRPC.',
  services: [
    {
      name: 'Health',
      methods: [
        { name: 'Check', request: HealthCheckRequest, response: HealthCheckResponse },
        { name: 'Watch', request: HealthCheckRequest, response: HealthCheckResponse, responseStream: true },
      ],
    },
  ],
  types: [HealthCheckRequest, HealthCheckResponse],
}
