/**
 * What TorchServe's prediction address takes: JSON in its natural nesting, or the raw bytes of the one input; the answer
 * is the bare value. A body with `instances` is answered as TorchServe's KServe envelope does.
 *
 * @see https://github.com/pytorch/serve/blob/master/docs/inference_api.md#predictions-api
 */
import { fault } from '../errors.ts'
import type { Codec } from './codec.ts'
import { char, JsonScanner } from './json/scanner.ts'
import { json, kserveV1, naturalOutputs, naturalRequest, readColumns, writerFor } from './kserve-v1.ts'
import { rawInput } from './raw.ts'

export interface TorchServeOptions {
  /** Whether the body is JSON; else it is the bytes of the one input. */
  readonly json: boolean
}

export const torchserve: Codec<TorchServeOptions> = {
  decode(body, model, options) {
    const { signature } = model
    if (body.byteLength === 0) throw fault('TorchServeBodyMissing', {})
    if (options.json && hasInstances(body)) return kserveV1.decode(body, model, undefined)
    const inputs = options.json ? readAll(body, (scanner) => readColumns(scanner, 'the body', signature)) : []
    return naturalRequest(options.json ? inputs : [rawInput(body, signature)], signature, (outputs) =>
      json(naturalOutputs(writerFor(outputs), outputs)),
    )
  },
}

function readAll<Value>(body: Uint8Array, read: (scanner: JsonScanner) => Value): Value {
  const scanner = new JsonScanner(body)
  const value = read(scanner)
  scanner.end()
  return value
}

function hasInstances(body: Uint8Array): boolean {
  const scanner = new JsonScanner(body)
  if (!scanner.take(char.openObject) || scanner.peek() !== char.quote) return false
  return ['instances', 'signature_name'].includes(scanner.string())
}
