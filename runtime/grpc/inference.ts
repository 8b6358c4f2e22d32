/**
 * The methods of inference.GRPCInferenceService beside inference itself: health, metadata, and what Triton's clients ask.
 * What is not served answers UNIMPLEMENTED with a reason.
 */
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js'
import { Fault, fault, reportOf } from '../errors.ts'
import type { Datatype, TensorSpec } from '../tensor.ts'
import {
  DataType,
  inferenceProto,
  ModelConfigRequest,
  ModelConfigResponse,
  ModelMetadataRequest,
  ModelMetadataResponse,
  ModelReadyRequest,
  ModelReadyResponse,
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
import { infer, streamInfer, type Inference, type Served } from './infer.ts'
import { decode, encode, type MessageType, type PartOf, type ValueOf } from './protobuf/message.ts'

export interface InferenceContext extends Inference {
  /** Every model that is served here. */
  readonly list: () => readonly Served[]
  /** The runtime's own version, for server metadata. */
  readonly serverVersion: string
}

/** The service as grpc-js takes it. @param open the streams to end when the server goes */
export function inferenceService(context: InferenceContext, open: Set<() => void>) {
  const { find, list, state, serverVersion } = context

  /** A method whose messages are plain data. */
  const unary =
    <Request extends MessageType, Response extends MessageType>(
      request: Request,
      response: Response,
      handle: (request: ValueOf<Request>) => PartOf<Response>,
    ) =>
    (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
      let answer: Buffer
      try {
        answer = encode(response, handle(decode(request, call.request as Buffer<ArrayBuffer>)))
      } catch (error) {
        if (!(error instanceof Fault)) context.onBug(error)
        return callback(context.answers.failure(call, reportOf(error)))
      }
      context.answers.begin(call)
      return callback(null, answer)
    }

  /** The model that a request names. @throws Fault */
  const named = ({ name, version }: { readonly name: string; readonly version: string }): Served => {
    const found = find(name, version === '' ? undefined : version)
    if (found instanceof Fault) throw found
    return found
  }

  /** @throws Fault `NotReady` before the model is loaded */
  const signatureOf = ({ name, pool }: Served) => {
    if (pool.signature !== undefined) return pool.signature
    throw fault('NotReady', { model: name, reason: state.health().reason ?? 'it is loading' })
  }

  const implementation: UntypedServiceImplementation = {
    ServerLive: unary(ServerLiveRequest, ServerLiveResponse, () => ({ live: state.health().live })),
    ServerReady: unary(ServerReadyRequest, ServerReadyResponse, () => ({ ready: state.health().ready })),
    ModelReady: unary(ModelReadyRequest, ModelReadyResponse, (request) => {
      named(request)
      return { ready: state.health().ready }
    }),
    ServerMetadata: unary(ServerMetadataRequest, ServerMetadataResponse, () => {
      return { name: 'slipway', version: serverVersion, extensions }
    }),
    ModelMetadata: unary(ModelMetadataRequest, ModelMetadataResponse, (request) => {
      const served = named(request)
      const { inputs, outputs } = signatureOf(served)
      return {
        name: served.name,
        versions: [served.version],
        platform: 'onnx_onnxv1',
        inputs: inputs.map(tensorMetadata),
        outputs: outputs.map(tensorMetadata),
      }
    }),
    ModelConfig: unary(ModelConfigRequest, ModelConfigResponse, (request) => {
      const served = named(request)
      const { inputs, outputs } = signatureOf(served)
      return {
        config: {
          name: served.name,
          platform: 'onnxruntime_onnx',
          backend: 'onnxruntime',
          input: inputs.map(tensorConfig),
          output: outputs.map(tensorConfig),
        },
      }
    }),
    RepositoryIndex: unary(RepositoryIndexRequest, RepositoryIndexResponse, (request) => {
      const { ready, reason } = state.health()
      if (request.ready && !ready) return {}
      const how = ready ? { state: 'READY' } : { state: 'UNAVAILABLE', reason: reason ?? '' }
      return { models: list().map(({ name, version }) => ({ name, version, ...how })) }
    }),
    ModelInfer: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      void infer(call, callback, context)
    },
    ModelStreamInfer: (call: ServerDuplexStream<Buffer, Buffer>) => void streamInfer(call, open, context),
  }

  const definition = { ...definitionOf(inferenceProto) }
  for (const [method, instead] of Object.entries(notOffered)) {
    definition[method] = bytesMethod(`/${serviceName}/${method}`, { requestStream: false, responseStream: false })
    implementation[method] = (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      callback(context.answers.failure(call, fault('MethodNotOffered', { method, instead })))
    }
  }
  return { definition, implementation }
}

/** Triton's extensions that this service has. */
const extensions = ['classification', 'model_configuration', 'schedule_policy']

const changeModels = 'change spec.model of the ModelDeployment, which loads the new version beside the old one'
const sendTensors = 'send tensors in the message'
const seeMetrics = 'read the metrics port, where every figure is'

/** Triton's other methods, and what to do instead. */
const notOffered: Readonly<Record<string, string>> = {
  ModelStatistics: seeMetrics,
  RepositoryModelLoad: changeModels,
  RepositoryModelUnload: changeModels,
  SystemSharedMemoryStatus: sendTensors,
  SystemSharedMemoryRegister: sendTensors,
  SystemSharedMemoryUnregister: sendTensors,
  CudaSharedMemoryStatus: sendTensors,
  CudaSharedMemoryRegister: sendTensors,
  CudaSharedMemoryUnregister: sendTensors,
  TraceSetting: 'see the log and the metrics',
  LogSettings: 'set SLIPWAY_LOG_LEVEL',
}

function tensorMetadata({ name, datatype, shape }: TensorSpec) {
  return { name, datatype, shape: shape.map(BigInt) }
}

function tensorConfig({ name, datatype, shape }: TensorSpec) {
  return { name, data_type: DataType.values.indexOf(configType(datatype)), dims: shape.map(BigInt) }
}

function configType(datatype: Datatype): string {
  return datatype === 'BYTES' ? 'TYPE_STRING' : `TYPE_${datatype}`
}
