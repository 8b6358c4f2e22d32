/**
 * The messages of server reflection. The packages `grpc.reflection.v1` and `v1alpha` differ by nothing but their names.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */
import type { ProtoFile } from '../protobuf/descriptor.ts'
import { choice, many, message, one } from '../protobuf/message.ts'

const ExtensionRequest = message('ExtensionRequest', {
  containing_type: one('string', 1),
  extension_number: one('int32', 2),
})
export const ServerReflectionRequest = message('ServerReflectionRequest', {
  host: one('string', 1),
  file_by_filename: choice('message_request', 'string', 3),
  file_containing_symbol: choice('message_request', 'string', 4),
  file_containing_extension: choice('message_request', ExtensionRequest, 5),
  all_extension_numbers_of_type: choice('message_request', 'string', 6),
  list_services: choice('message_request', 'string', 7),
})
const FileDescriptorResponse = message('FileDescriptorResponse', { file_descriptor_proto: many('bytes', 1) })
const ExtensionNumberResponse = message('ExtensionNumberResponse', {
  base_type_name: one('string', 1),
  extension_number: many('int32', 2),
})
const ServiceResponse = message('ServiceResponse', { name: one('string', 1) })
const ListServiceResponse = message('ListServiceResponse', { service: many(ServiceResponse, 1) })
const ErrorResponse = message('ErrorResponse', { error_code: one('int32', 1), error_message: one('string', 2) })
export const ServerReflectionResponse = message('ServerReflectionResponse', {
  valid_host: one('string', 1),
  original_request: one(ServerReflectionRequest, 2),
  file_descriptor_response: choice('message_response', FileDescriptorResponse, 4),
  all_extension_numbers_response: choice('message_response', ExtensionNumberResponse, 5),
  list_services_response: choice('message_response', ListServiceResponse, 6),
  error_response: choice('message_response', ErrorResponse, 7),
})

export const reflectionProtos: readonly ProtoFile[] = ['v1', 'v1alpha'].map((version) => ({
  path: `reflection_${version}.proto`,
  package: `grpc.reflection.${version}`,
  comment: 'Server reflection of gRPC.',
  services: [
    {
      name: 'ServerReflection',
      methods: [
        {
          name: 'ServerReflectionInfo',
          request: ServerReflectionRequest,
          response: ServerReflectionResponse,
          requestStream: true,
          responseStream: true,
        },
      ],
    },
  ],
  types: [
    ServerReflectionRequest,
    ExtensionRequest,
    ServerReflectionResponse,
    FileDescriptorResponse,
    ExtensionNumberResponse,
    ListServiceResponse,
    ServiceResponse,
    ErrorResponse,
  ],
}))
