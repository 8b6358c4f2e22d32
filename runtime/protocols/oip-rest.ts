/**
 * The Open Inference Protocol v2 over HTTP: JSON, JSON with binary tensors behind it, or one raw tensor; in and out.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 */
import { fault } from '../errors.ts'
import type { Tensor } from '../tensor.ts'
import { byteLengthOf, writeTensor } from './binary.ts'
import { classify } from './classification.ts'
import type { Codec, Encoded, InferenceRequest, ModelIdentity } from './codec.ts'
import { JsonWriter } from './json/writer.ts'
import { readOipRequest, type OipRequest } from './oip-request.ts'
import { rawInput } from './raw.ts'

/** The header that says where the JSON of a request or an answer ends and binary tensors begin. */
export const headerLengthHeader = 'inference-header-content-length'

/** What headers say about a request. */
export interface OipRestOptions {
  /** Inference-Header-Content-Length: bytes of JSON before binary tensors; undefined when all is JSON, 0 when none is. */
  readonly headerLength: number | undefined
}

export const oipRest: Codec<OipRestOptions> = {
  decode(body, model, { headerLength = body.byteLength }) {
    // A length of 0 only ever comes from the header: the body is one tensor's bytes and nothing else.
    if (headerLength === 0 && body.byteLength > 0) return answering(rawRequest(body, model), model)
    if (body.byteLength === 0) throw fault('BodyMissing', {})
    if (headerLength > body.byteLength) {
      throw fault('BinaryHeader', { found: headerLength, expected: `at most the ${body.byteLength} bytes of the body` })
    }
    return answering(readOipRequest(body, headerLength, model), model)
  },
}

function answering(request: OipRequest, model: ModelIdentity): InferenceRequest {
  const { id, inputs, outputs, parameters } = request
  return {
    id,
    inputs,
    outputs: outputs.map(({ name }) => name),
    parameters,
    answer(tensors) {
      const answered = outputs.flatMap(({ binary, classes }, index) => {
        const tensor = tensors[index]
        return tensor === undefined ? [] : [{ tensor: classes > 0 ? classify(tensor, classes) : tensor, binary }]
      })
      return encodeAnswer(id, answered, model)
    },
  }
}

export interface AnsweredOutput {
  readonly tensor: Tensor
  readonly binary: boolean
}

/** Writes an answer: one JSON object, and after it the outputs that are wanted in binary. */
export function encodeAnswer(
  id: string | undefined,
  outputs: readonly AnsweredOutput[],
  model: ModelIdentity,
): Encoded {
  const inJson = outputs.reduce((size, { tensor, binary }) => (binary ? size : size + tensor.data.length * 12), 0)
  const writer = new JsonWriter(256 + outputs.length * 64 + inJson)
  let binaryBytes = 0
  writer.raw('{"model_name":').name(model.name).raw(',"model_version":').name(model.version)
  if (id !== undefined) writer.raw(',"id":').string(id)
  writer.raw(',"outputs":[')
  outputs.forEach(({ tensor, binary }, index) => {
    if (index > 0) writer.raw(',')
    writer.raw('{"name":').name(tensor.name)
    writer.raw(`,"datatype":"${tensor.datatype}","shape":`).integers(tensor.shape)
    if (binary) {
      const size = byteLengthOf(tensor)
      binaryBytes += size
      writer.raw(`,"parameters":{"binary_data_size":${size}}}`)
    } else writer.raw(',"data":').data(tensor).raw('}')
  })
  const json = writer.raw(']}').finish()
  if (!outputs.some(({ binary }) => binary)) return { body: json, headers: { 'content-type': 'application/json' } }
  const body = new Uint8Array(json.byteLength + binaryBytes)
  body.set(json)
  let at = json.byteLength
  for (const { tensor, binary } of outputs) if (binary) at = writeTensor(tensor, body, at)
  return {
    body,
    headers: { 'content-type': 'application/octet-stream', [headerLengthHeader]: String(json.byteLength) },
  }
}

/** A request that is nothing but the bytes of the one input; every output is answered in binary. */
function rawRequest(body: Uint8Array<ArrayBuffer>, model: ModelIdentity): OipRequest {
  return {
    id: undefined,
    inputs: [rawInput(body, model.signature)],
    outputs: model.signature.outputs.map(({ name }) => ({ name, binary: true, classes: 0 })),
    parameters: {},
  }
}
