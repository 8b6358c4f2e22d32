// What a resolve or fetch container says at its end, decoded from the pod's termination message. Pure.
import { gunzipSync } from 'node:zlib'
import type { ModelRevision } from '../api/modelrevision.ts'

type Tensor = ModelRevision['spec']['contract']['inputs'][number]

export type Termination =
  | {
      readonly ok: true
      readonly digest: string
      readonly sizeBytes: number
      readonly inputs: Tensor[]
      readonly outputs: Tensor[]
    }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly retryable: boolean }

/** A model with more tensors than this in plain JSON is no real one; guards the unpacking of a hostile message. */
const maxUnpackedBytes = 1 << 20

/** Decodes a termination message, plain or `gz:` + base64; undefined when the container said nothing of the kind. */
export const readTermination = (message: string | undefined): Termination | undefined => {
  if (message === undefined) return undefined
  try {
    const text = message.startsWith('gz:')
      ? gunzipSync(Buffer.from(message.slice(3), 'base64'), { maxOutputLength: maxUnpackedBytes }).toString()
      : message
    const value: unknown = JSON.parse(text)
    return isTermination(value) ? value : undefined
  } catch {
    // Logs in place of a message (FallbackToLogsOnError), or a container that is not ours: not a termination of ours.
    return undefined
  }
}

const isTermination = (value: unknown): value is Termination => {
  if (typeof value !== 'object' || value === null || !('ok' in value)) return false
  if (value.ok === true) {
    return (
      'digest' in value &&
      typeof value.digest === 'string' &&
      /^sha256:[0-9a-f]{64}$/.test(value.digest) &&
      'sizeBytes' in value &&
      typeof value.sizeBytes === 'number' &&
      'inputs' in value &&
      isTensors(value.inputs) &&
      'outputs' in value &&
      isTensors(value.outputs)
    )
  }
  return (
    value.ok === false &&
    'code' in value &&
    typeof value.code === 'string' &&
    'message' in value &&
    typeof value.message === 'string' &&
    'retryable' in value &&
    typeof value.retryable === 'boolean'
  )
}

const isTensors = (value: unknown): value is Tensor[] =>
  Array.isArray(value) &&
  value.every(
    (t) =>
      typeof t === 'object' &&
      t !== null &&
      typeof t.name === 'string' &&
      typeof t.datatype === 'string' &&
      Array.isArray(t.shape) &&
      t.shape.every((size: unknown) => Number.isInteger(size)),
  )
