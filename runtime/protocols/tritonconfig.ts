/**
 * A model in the words of Triton's configuration, for clients that ask for it before they send anything. Pure.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md
 */
import type { Datatype, Signature, TensorSpec } from '../tensor.ts'

/** What of an engine the configuration tells. */
export interface ConfiguredModel {
  readonly name: string
  readonly signature: Signature
  readonly workers: number
  /** The most requests that share a run; 1 when each runs alone. */
  readonly maxBatch: number
}

/**
 * The configuration. `max_batch_size` is the most rows that are known to run together, and 0 for a model whose inputs
 * and outputs do not all begin with a free dimension; larger requests are answered all the same.
 */
export function tritonConfig({ name, signature, workers, maxBatch }: ConfiguredModel): object {
  const batched = [...signature.inputs, ...signature.outputs].every(({ shape }) => shape[0] === -1)
  const size = batched ? Math.max(1, maxBatch) : 0
  return {
    name,
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    version_policy: { latest: { num_versions: 1 } },
    max_batch_size: size,
    input: signature.inputs.map((spec) => ({
      ...tensorConfig(spec, batched),
      format: 'FORMAT_NONE',
      is_shape_tensor: false,
      allow_ragged_batch: false,
      optional: false,
    })),
    output: signature.outputs.map((spec) => ({
      ...tensorConfig(spec, batched),
      label_filename: '',
      is_shape_tensor: false,
    })),
    batch_input: [],
    batch_output: [],
    instance_group: [{ name, kind: 'KIND_CPU', count: workers, gpus: [], profile: [], passive: false }],
    default_model_filename: 'model.onnx',
    cc_model_filenames: {},
    metric_tags: {},
    parameters: {},
    model_warmup: [],
    ...(size > 1 ? { dynamic_batching: { preferred_batch_size: [size], max_queue_delay_microseconds: 0 } } : {}),
  }
}

function tensorConfig({ name, datatype, shape }: TensorSpec, batched: boolean): object {
  const dims = batched ? shape.slice(1) : shape
  // Dimensions may not be empty there: a scalar is [1], reshaped to [].
  const scalar = dims.length === 0
  return {
    name,
    data_type: dataTypes[datatype],
    dims: scalar ? [1] : [...dims],
    ...(scalar ? { reshape: { shape: [] } } : {}),
  }
}

const dataTypes: Readonly<Record<Datatype, string>> = {
  BOOL: 'TYPE_BOOL',
  UINT8: 'TYPE_UINT8',
  UINT16: 'TYPE_UINT16',
  UINT32: 'TYPE_UINT32',
  UINT64: 'TYPE_UINT64',
  INT8: 'TYPE_INT8',
  INT16: 'TYPE_INT16',
  INT32: 'TYPE_INT32',
  INT64: 'TYPE_INT64',
  FP16: 'TYPE_FP16',
  FP32: 'TYPE_FP32',
  FP64: 'TYPE_FP64',
  BYTES: 'TYPE_STRING',
}
