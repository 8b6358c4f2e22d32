/**
 * The termination message: how a finished container tells the operator what happened.
 * Kubernetes keeps 4096 bytes of it, so a longer one is compressed; it must never be cut into something unreadable.
 *
 * @see https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
 */
import { writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { reportOf, wordsOf, type FaultReport } from '../errors.ts'
import type { Signature, TensorSpec } from '../tensor.ts'

export const maxMessageBytes = 4096

export type TerminationMessage =
  | {
      readonly ok: true
      readonly digest: string
      readonly sizeBytes: number
      /** Only when the graph was read. */
      readonly inputs?: readonly TensorSpec[]
      readonly outputs?: readonly TensorSpec[]
    }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly retryable: boolean }

export function succeeded(digest: string, sizeBytes: number, signature?: Signature): TerminationMessage {
  return { ok: true, digest, sizeBytes, ...signature }
}

export function failed(thrown: unknown): TerminationMessage {
  const { code, message, retryable }: FaultReport = reportOf(thrown)
  return { ok: false, code, message, retryable }
}

/** The text to write: JSON, or `gz:` and its gzip in base64 when that is what fits. */
export function encodeTermination(message: TerminationMessage): string {
  const json = JSON.stringify(message)
  if (Buffer.byteLength(json) <= maxMessageBytes) return json
  const packed = `gz:${gzipSync(json, { level: 9 }).toString('base64')}`
  if (packed.length <= maxMessageBytes) return packed
  if (!message.ok) return encodeTermination({ ...message, message: `${message.message.slice(0, 1000)}…` })
  return encodeTermination({
    ok: false,
    code: 'ModelUnsupported',
    message:
      `the model has ${message.inputs?.length ?? 0} inputs and ${message.outputs?.length ?? 0} outputs, ` +
      'too many to report; export it with fewer or shorter-named ones',
    retryable: false,
  })
}

/** Writes the message. A file that cannot be written is reported on the log only: the exit code still says the rest. */
export function writeTermination(path: string, message: TerminationMessage, warn: (words: string) => void): void {
  try {
    writeFileSync(path, encodeTermination(message))
  } catch (error) {
    warn(`the termination message could not be written to ${path}: ${wordsOf(error)}`)
  }
}
