/**
 * The messages of package `inference`: the Open Inference Protocol's, and of Triton's extensions those that this server
 * answers. Field numbers are the specification's and must never change; a test compares them with tritonclient's.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto
 * @see https://github.com/triton-inference-server/common/blob/main/protobuf/grpc_service.proto
 */
import type { ProtoFile } from '../protobuf/descriptor.ts'
import { choice, enumeration, many, map, message, one } from '../protobuf/message.ts'

export const ServerLiveRequest = message('ServerLiveRequest', {})
export const ServerLiveResponse = message('ServerLiveResponse', { live: one('bool', 1) })
export const ServerReadyRequest = message('ServerReadyRequest', {})
export const ServerReadyResponse = message('ServerReadyResponse', { ready: one('bool', 1) })
/** An empty version means the one that the server chooses; so it does in every request. */
export const ModelReadyRequest = message('ModelReadyRequest', { name: one('string', 1), version: one('string', 2) })
export const ModelReadyResponse = message('ModelReadyResponse', { ready: one('bool', 1) })
export const ServerMetadataRequest = message('ServerMetadataRequest', {})
export const ServerMetadataResponse = message('ServerMetadataResponse', {
  name: one('string', 1),
  version: one('string', 2),
  extensions: many('string', 3),
})

export const ModelMetadataRequest = message('ModelMetadataRequest', {
  name: one('string', 1),
  version: one('string', 2),
})
const TensorMetadata = message('TensorMetadata', {
  name: one('string', 1),
  datatype: one('string', 2),
  shape: many('int64', 3),
})
export const ModelMetadataResponse = message(
  'ModelMetadataResponse',
  {
    name: one('string', 1),
    versions: many('string', 2),
    platform: one('string', 3),
    inputs: many(TensorMetadata, 4),
    outputs: many(TensorMetadata, 5),
    properties: map('string', 6),
  },
  [TensorMetadata],
)

export const InferParameter = message('InferParameter', {
  bool_param: choice('parameter_choice', 'bool', 1),
  int64_param: choice('parameter_choice', 'int64', 2),
  string_param: choice('parameter_choice', 'string', 3),
  double_param: choice('parameter_choice', 'double', 4),
  uint64_param: choice('parameter_choice', 'uint64', 5),
})
export const InferTensorContents = message('InferTensorContents', {
  bool_contents: many('bool', 1),
  int_contents: many('int32', 2),
  int64_contents: many('int64', 3),
  uint_contents: many('uint32', 4),
  uint64_contents: many('uint64', 5),
  fp32_contents: many('float', 6),
  fp64_contents: many('double', 7),
  bytes_contents: many('bytes', 8),
})
const tensor = {
  name: one('string', 1),
  datatype: one('string', 2),
  shape: many('int64', 3),
  parameters: map(InferParameter, 4),
  contents: one(InferTensorContents, 5),
}
export const InferInputTensor = message('InferInputTensor', tensor)
export const InferRequestedOutputTensor = message('InferRequestedOutputTensor', {
  name: one('string', 1),
  parameters: map(InferParameter, 2),
})
const head = {
  model_name: one('string', 1),
  model_version: one('string', 2),
  id: one('string', 3),
  parameters: map(InferParameter, 4),
}
export const ModelInferRequest = message(
  'ModelInferRequest',
  {
    ...head,
    inputs: many(InferInputTensor, 5),
    outputs: many(InferRequestedOutputTensor, 6),
    raw_input_contents: many('bytes', 7),
  },
  [InferInputTensor, InferRequestedOutputTensor],
)
export const InferOutputTensor = message('InferOutputTensor', tensor)
export const ModelInferResponse = message(
  'ModelInferResponse',
  { ...head, outputs: many(InferOutputTensor, 5), raw_output_contents: many('bytes', 6) },
  [InferOutputTensor],
)
export const ModelStreamInferResponse = message('ModelStreamInferResponse', {
  error_message: one('string', 1),
  infer_response: one(ModelInferResponse, 2),
})

/** Triton's names of the datatypes, by number. */
export const DataType = enumeration('DataType', [
  'TYPE_INVALID',
  'TYPE_BOOL',
  'TYPE_UINT8',
  'TYPE_UINT16',
  'TYPE_UINT32',
  'TYPE_UINT64',
  'TYPE_INT8',
  'TYPE_INT16',
  'TYPE_INT32',
  'TYPE_INT64',
  'TYPE_FP16',
  'TYPE_FP32',
  'TYPE_FP64',
  'TYPE_STRING',
  'TYPE_BF16',
])
export const ModelConfigRequest = message('ModelConfigRequest', { name: one('string', 1), version: one('string', 2) })
const Latest = message('Latest', { num_versions: one('uint32', 1) })
const ModelVersionPolicy = message('ModelVersionPolicy', { latest: choice('policy_choice', Latest, 1) }, [Latest])
const ModelTensorReshape = message('ModelTensorReshape', { shape: many('int64', 1) })
const Format = enumeration('Format', ['FORMAT_NONE', 'FORMAT_NHWC', 'FORMAT_NCHW'])
const ModelInput = message(
  'ModelInput',
  {
    name: one('string', 1),
    data_type: one(DataType, 2),
    format: one(Format, 3),
    dims: many('int64', 4),
    reshape: one(ModelTensorReshape, 5),
    is_shape_tensor: one('bool', 6),
    allow_ragged_batch: one('bool', 7),
    optional: one('bool', 8),
  },
  [Format],
)
const ModelOutput = message('ModelOutput', {
  name: one('string', 1),
  data_type: one(DataType, 2),
  dims: many('int64', 3),
  label_filename: one('string', 4),
  reshape: one(ModelTensorReshape, 5),
  is_shape_tensor: one('bool', 6),
})
const Kind = enumeration('Kind', ['KIND_AUTO', 'KIND_GPU', 'KIND_CPU', 'KIND_MODEL'])
const ModelInstanceGroup = message(
  'ModelInstanceGroup',
  {
    name: one('string', 1),
    count: one('int32', 2),
    gpus: many('int32', 3),
    kind: one(Kind, 4),
    profile: many('string', 5),
    passive: one('bool', 7),
  },
  [Kind],
)
const ModelDynamicBatching = message('ModelDynamicBatching', {
  preferred_batch_size: many('int32', 1),
  max_queue_delay_microseconds: one('uint64', 2),
})
/** The part of Triton's configuration that this server has an answer to. */
const ModelConfig = message('ModelConfig', {
  name: one('string', 1),
  platform: one('string', 2),
  version_policy: one(ModelVersionPolicy, 3),
  max_batch_size: one('int32', 4),
  input: many(ModelInput, 5),
  output: many(ModelOutput, 6),
  instance_group: many(ModelInstanceGroup, 7),
  default_model_filename: one('string', 8),
  dynamic_batching: one(ModelDynamicBatching, 11),
  backend: one('string', 17),
})
export const ModelConfigResponse = message('ModelConfigResponse', { config: one(ModelConfig, 1) })

/** Empty names mean every model, or every version. */
export const ModelStatisticsRequest = message('ModelStatisticsRequest', {
  name: one('string', 1),
  version: one('string', 2),
})
const StatisticDuration = message('StatisticDuration', { count: one('uint64', 1), ns: one('uint64', 2) })
const InferStatistics = message('InferStatistics', {
  success: one(StatisticDuration, 1),
  fail: one(StatisticDuration, 2),
  queue: one(StatisticDuration, 3),
  compute_input: one(StatisticDuration, 4),
  compute_infer: one(StatisticDuration, 5),
  compute_output: one(StatisticDuration, 6),
  cache_hit: one(StatisticDuration, 7),
  cache_miss: one(StatisticDuration, 8),
})
const InferBatchStatistics = message('InferBatchStatistics', {
  batch_size: one('uint64', 1),
  compute_input: one(StatisticDuration, 2),
  compute_infer: one(StatisticDuration, 3),
  compute_output: one(StatisticDuration, 4),
})
const ModelStatistics = message('ModelStatistics', {
  name: one('string', 1),
  version: one('string', 2),
  last_inference: one('uint64', 3),
  inference_count: one('uint64', 4),
  execution_count: one('uint64', 5),
  inference_stats: one(InferStatistics, 6),
  batch_stats: many(InferBatchStatistics, 7),
})
export const ModelStatisticsResponse = message('ModelStatisticsResponse', { model_stats: many(ModelStatistics, 1) })

export const RepositoryIndexRequest = message('RepositoryIndexRequest', {
  repository_name: one('string', 1),
  ready: one('bool', 2),
})
const ModelIndex = message('ModelIndex', {
  name: one('string', 1),
  version: one('string', 2),
  state: one('string', 3),
  reason: one('string', 4),
})
export const RepositoryIndexResponse = message('RepositoryIndexResponse', { models: many(ModelIndex, 1) }, [ModelIndex])

export const serviceName = 'inference.GRPCInferenceService'

export const inferenceProto: ProtoFile = {
  path: 'inference.proto',
  package: 'inference',
  comment: 'The Open Inference Protocol, and the extensions of Triton that Slipway answers.',
  services: [
    {
      name: 'GRPCInferenceService',
      methods: [
        { name: 'ServerLive', request: ServerLiveRequest, response: ServerLiveResponse },
        { name: 'ServerReady', request: ServerReadyRequest, response: ServerReadyResponse },
        { name: 'ModelReady', request: ModelReadyRequest, response: ModelReadyResponse },
        { name: 'ServerMetadata', request: ServerMetadataRequest, response: ServerMetadataResponse },
        { name: 'ModelMetadata', request: ModelMetadataRequest, response: ModelMetadataResponse },
        { name: 'ModelInfer', request: ModelInferRequest, response: ModelInferResponse },
        {
          name: 'ModelStreamInfer',
          request: ModelInferRequest,
          response: ModelStreamInferResponse,
          requestStream: true,
          responseStream: true,
        },
        { name: 'ModelConfig', request: ModelConfigRequest, response: ModelConfigResponse },
        { name: 'ModelStatistics', request: ModelStatisticsRequest, response: ModelStatisticsResponse },
        { name: 'RepositoryIndex', request: RepositoryIndexRequest, response: RepositoryIndexResponse },
      ],
    },
  ],
  types: [
    ServerLiveRequest,
    ServerLiveResponse,
    ServerReadyRequest,
    ServerReadyResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerMetadataRequest,
    ServerMetadataResponse,
    ModelMetadataRequest,
    ModelMetadataResponse,
    InferParameter,
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
    DataType,
    ModelConfigRequest,
    ModelVersionPolicy,
    ModelTensorReshape,
    ModelInput,
    ModelOutput,
    ModelInstanceGroup,
    ModelDynamicBatching,
    ModelConfig,
    ModelConfigResponse,
    ModelStatisticsRequest,
    StatisticDuration,
    InferStatistics,
    InferBatchStatistics,
    ModelStatistics,
    ModelStatisticsResponse,
    RepositoryIndexRequest,
    RepositoryIndexResponse,
  ],
}
