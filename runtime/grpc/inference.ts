/**
 * The methods of inference.GRPCInferenceService beside inference itself: health, metadata, and what Triton's clients ask.
 * What is not served answers UNIMPLEMENTED with a reason.
 */
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js'
import { Fault, fault, reportOf } from '../errors.ts'
import { extensions } from '../http/app.ts'
import { indexEntry, statisticsOf } from '../http/triton.ts'
import { tritonConfig } from '../protocols/tritonconfig.ts'
import type { ServerState } from '../state.ts'
import type { TensorSpec } from '../tensor.ts'
import type { LiveVersion } from '../version.ts'
import {
  inferenceProto,
  ModelConfigRequest,
  ModelConfigResponse,
  ModelMetadataRequest,
  ModelMetadataResponse,
  ModelReadyRequest,
  ModelReadyResponse,
  ModelStatisticsRequest,
  ModelStatisticsResponse,
  RepositoryIndexRequest,
  RepositoryIndexResponse,
  ServerLiveRequest,
  ServerLiveResponse,
  ServerMetadataRequest,
  ServerMetadataResponse,
  ServerReadyRequest,
  ServerReadyResponse,
  serviceName,
} from './api/inference.ts'
import { bytesMethod, definitionOf } from './definition.ts'
import { infer, streamInfer, type Inference } from './infer.ts'
import { fromJson } from './protobuf/fromjson.ts'
import { decode, encode, type MessageType, type PartOf, type ValueOf } from './protobuf/message.ts'

export interface InferenceContext extends Inference {
  readonly state: ServerState
  /** The runtime's own version, for server metadata. */
  readonly serverVersion: string
}

type Unary = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void

/** The service as grpc-js takes it. @param open the streams to end when the server goes */
export function inferenceService(context: InferenceContext, open: Set<() => void>) {
  const { models, state, serverVersion } = context

  /** A method whose messages are small: it answers from bytes to bytes, or throws a Fault. */
  const unary =
    (handle: (request: Buffer<ArrayBuffer>) => Buffer): Unary =>
    (call, callback) => {
      let answer: Buffer
      try {
        answer = handle(call.request as Buffer<ArrayBuffer>)
      } catch (error) {
        if (!(error instanceof Fault)) context.onBug(error)
        return callback(context.answers.failure(call, reportOf(error)))
      }
      context.answers.begin(call)
      return callback(null, answer)
    }

  const method = <Request extends MessageType, Response extends MessageType>(
    request: Request,
    response: Response,
    handle: (request: ValueOf<Request>) => PartOf<Response>,
  ): Unary => unary((bytes) => encode(response, handle(decode(request, bytes))))

  /** The version that a request names. @throws Fault */
  const named = ({ name, version }: { readonly name: string; readonly version: string }): LiveVersion => {
    const found = models.find(name, version === '' ? undefined : version)
    if (found instanceof Fault) throw found
    return found
  }

  /** @throws Fault `NotReady` before the model is loaded */
  const signatureOf = (version: LiveVersion) => {
    if (version.signature !== undefined) return version.signature
    throw version.notReady() ?? fault('NotReady', { model: version.name, reason: 'it was taken away' })
  }

  const implementation: UntypedServiceImplementation = {
    ServerLive: method(ServerLiveRequest, ServerLiveResponse, () => ({ live: state.health().live })),
    ServerReady: method(ServerReadyRequest, ServerReadyResponse, () => ({ ready: state.health().ready })),
    ModelReady: method(ModelReadyRequest, ModelReadyResponse, (request) => {
      // A model or version that is not there is not ready, which is what Triton's clients ask to hear.
      const found = models.find(request.name, request.version === '' ? undefined : request.version)
      return { ready: !(found instanceof Fault) && found.health().ready && !state.draining }
    }),
    ServerMetadata: method(ServerMetadataRequest, ServerMetadataResponse, () => {
      return { name: 'slipway', version: serverVersion, extensions }
    }),
    ModelMetadata: method(ModelMetadataRequest, ModelMetadataResponse, (request) => {
      const version = named(request)
      const { inputs, outputs } = signatureOf(version)
      return {
        name: version.name,
        versions: models.list().map((known) => known.version),
        platform: 'onnx_onnxv1',
        inputs: inputs.map(tensorMetadata),
        outputs: outputs.map(tensorMetadata),
      }
    }),
    ModelConfig: method(ModelConfigRequest, ModelConfigResponse, (request) => {
      const version = named(request)
      const { name, pool } = version
      const config = { name, signature: signatureOf(version), workers: pool.size, maxBatch: pool.batching.maxSize }
      return fromJson(ModelConfigResponse, { config: tritonConfig(config) })
    }),
    ModelStatistics: method(ModelStatisticsRequest, ModelStatisticsResponse, (request) => {
      const wanted = request.name === '' ? models.list() : versionsOf(request)
      return fromJson(ModelStatisticsResponse, statisticsOf(wanted))
    }),
    RepositoryIndex: method(RepositoryIndexRequest, RepositoryIndexResponse, ({ ready }) => {
      const wanted = models.list().filter((version) => !ready || version.health().ready)
      return fromJson(RepositoryIndexResponse, { models: wanted.map(indexEntry) })
    }),
    ModelInfer: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      void infer(call, callback, context)
    },
    ModelStreamInfer: (call: ServerDuplexStream<Buffer, Buffer>) => void streamInfer(call, open, context),
  }

  /** @throws Fault for a model or version that is not here */
  function versionsOf(request: { readonly name: string; readonly version: string }): readonly LiveVersion[] {
    const found = named(request)
    return request.version === '' ? models.list() : [found]
  }

  const definition = { ...definitionOf(inferenceProto) }
  const more = (name: string, handle: () => Buffer): void => {
    definition[name] = bytesMethod(`/${serviceName}/${name}`, { requestStream: false, responseStream: false })
    implementation[name] = unary(handle)
  }
  const refuses = (name: string, refusal: () => Fault): void => {
    more(name, () => {
      throw refusal()
    })
  }
  for (const action of ['Load', 'Unload']) refuses(`RepositoryModel${action}`, () => fault('RepositoryControl', {}))
  refuses('TraceSetting', () => fault('TritonExtension', { extension: 'trace' }))
  refuses('LogSettings', () => fault('TritonExtension', { extension: 'logging' }))
  for (const [kind, extension] of [
    ['System', 'system_shared_memory'],
    ['Cuda', 'cuda_shared_memory'],
  ] as const) {
    // Nothing is registered, which is what their clients ask before and after a run; both answers are empty messages.
    for (const asked of ['Status', 'Unregister']) more(`${kind}SharedMemory${asked}`, () => Buffer.alloc(0))
    refuses(`${kind}SharedMemoryRegister`, () => fault('TritonExtension', { extension }))
  }
  return { definition, implementation }
}

function tensorMetadata({ name, datatype, shape }: TensorSpec) {
  return { name, datatype, shape: shape.map(BigInt) }
}
