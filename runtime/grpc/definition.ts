/**
 * What grpc-js wants to know of a service: paths and whether messages stream. Messages pass as bytes, both ways: what
 * is wrong in one is for our own handlers to say, and tensors are read in another thread.
 */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import type { ProtoFile } from './protobuf/descriptor.ts'

type Bytes = MethodDefinition<Buffer, Buffer>

/** The services of a file, as one definition; its keys are full method names. */
export function definitionOf({ package: scope, services }: ProtoFile): ServiceDefinition {
  const methods = services.flatMap((service) =>
    service.methods.map((method) =>
      bytesMethod(`/${scope}.${service.name}/${method.name}`, {
        requestStream: method.requestStream ?? false,
        responseStream: method.responseStream ?? false,
      }),
    ),
  )
  return Object.fromEntries(methods.map((method) => [nameIn(method.path), method]))
}

/** A method that takes and gives bytes. */
export function bytesMethod(path: string, streams: { requestStream: boolean; responseStream: boolean }): Bytes {
  const same = (bytes: Buffer): Buffer => bytes
  return {
    path,
    ...streams,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}

function nameIn(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
