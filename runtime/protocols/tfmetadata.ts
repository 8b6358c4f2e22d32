/**
 * A model in the words of TensorFlow Serving's status and metadata. Pure.
 *
 * @see https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md#model-status-api
 */
import type { Datatype, Signature, TensorSpec } from '../tensor.ts'
import { signatureName } from './kserve-v1.ts'

export type VersionState = 'START' | 'LOADING' | 'AVAILABLE' | 'UNLOADING' | 'END'

export interface VersionStatus {
  readonly version: string
  readonly state: VersionState
  /** Why it will not serve; undefined while nothing is wrong. */
  readonly error: string | undefined
}

export function versionStatus({ version, state, error }: VersionStatus): object {
  const status =
    error === undefined
      ? { error_code: 'OK', error_message: '' }
      : { error_code: 'FAILED_PRECONDITION', error_message: error }
  return { version, state, status }
}

export function tfMetadata(name: string, version: string, { inputs, outputs }: Signature): object {
  return {
    model_spec: { name, signature_name: '', version },
    metadata: {
      signature_def: {
        signature_def: {
          [signatureName]: {
            inputs: tensorInfos(inputs),
            outputs: tensorInfos(outputs),
            method_name: 'tensorflow/serving/predict',
          },
        },
      },
    },
  }
}

function tensorInfos(specs: readonly TensorSpec[]): object {
  return Object.fromEntries(
    specs.map(({ name, datatype, shape }) => [
      name,
      {
        dtype: dtypes[datatype],
        tensor_shape: { dim: shape.map((size) => ({ size: String(size), name: '' })), unknown_rank: false },
        name,
      },
    ]),
  )
}

const dtypes: Readonly<Record<Datatype, string>> = {
  BOOL: 'DT_BOOL',
  UINT8: 'DT_UINT8',
  UINT16: 'DT_UINT16',
  UINT32: 'DT_UINT32',
  UINT64: 'DT_UINT64',
  INT8: 'DT_INT8',
  INT16: 'DT_INT16',
  INT32: 'DT_INT32',
  INT64: 'DT_INT64',
  FP16: 'DT_HALF',
  FP32: 'DT_FLOAT',
  FP64: 'DT_DOUBLE',
  BYTES: 'DT_STRING',
}
