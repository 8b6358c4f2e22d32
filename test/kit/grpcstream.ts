// Constant gRPC traffic from a pod, as a client in the cluster sends it, and its record afterwards.
import { ModelInferRequest } from '../../runtime/grpc/api/inference.ts'
import { encode } from '../../runtime/grpc/protobuf/message.ts'
import type { GrpcSummary } from '../modelstore/grpcstream.ts'
import type { Shell } from './shell.ts'
import { startClient, stopClient } from './stream.ts'

export interface GrpcTraffic {
  /** What the client has printed so far: `{"calls":"v5"}` for the first answer and each from another version, `streams` alike. */
  changes(): Promise<string>
  /** Lets the client finish what it has under way, and gives its record. */
  stop(): Promise<GrpcSummary>
}

export interface GrpcTrafficOptions {
  /** `host:port`. */
  readonly address: string
  /** As `grpcRequest` makes it. */
  readonly request: Buffer
  /** Unary calls a second. */
  readonly rate: number
  /** Messages of a stream, a tenth of a second between them: so many tenths a stream lasts. */
  readonly messages: number
}

/** Starts the client pod and returns when it runs. The address has to answer: nothing is tried again. */
export const startGrpcTraffic = async (
  shell: Shell,
  namespace: string,
  name: string,
  image: string,
  { address, request, rate, messages }: GrpcTrafficOptions,
): Promise<GrpcTraffic> => {
  const env = {
    STREAM_ADDRESS: address,
    STREAM_BODY: request.toString('base64'),
    STREAM_RATE: String(rate),
    STREAM_SECONDS: '600',
    STREAM_MESSAGES: String(messages),
    STREAM_PAUSE_MS: '100',
    STREAM_TIMEOUT_MS: '60000',
  }
  await startClient(shell, namespace, name, image, { program: 'grpc', env })
  return {
    changes: () => shell.kubectl(['logs', '-n', namespace, name]),
    stop: async () => (await stopClient(shell, namespace, name)) as GrpcSummary,
  }
}

/** A request of the REST protocol, as gRPC's. Data types are those of the example. @throws Error for another one */
export const grpcRequest = (model: string, rest: string): Buffer => {
  const { inputs } = JSON.parse(rest) as {
    readonly inputs: readonly { name: string; datatype: string; shape: number[]; data: number[] }[]
  }
  return encode(ModelInferRequest, {
    model_name: model,
    inputs: inputs.map(({ name, datatype, shape, data }) => ({
      name,
      datatype,
      shape: shape.map(BigInt),
      contents: contentsOf(datatype, data.flat()),
    })),
  })
}

const contentsOf = (datatype: string, data: readonly number[]) => {
  if (datatype === 'FP32') return { fp32_contents: data }
  if (datatype === 'INT64') return { int64_contents: data.map(BigInt) }
  throw new Error(`${datatype} is not a data type of the example`)
}
