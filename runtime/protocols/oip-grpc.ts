/**
 * The gRPC form of the Open Inference Protocol v2: a ModelInferRequest in, a ModelInferResponse out, without objects in
 * between. Tensors are views of the message, or typed contents; answers are raw, as Triton's are, unless asked otherwise.
 * It must check a request against the model's signature completely, so that the engine only sees tensors that fit.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
 */
import { fault } from '../errors.ts'
import { ProtoReader, wireType } from '../grpc/protobuf/reader.ts'
import { datatypes, elementCount, isDatatype, zeros, type Tensor } from '../tensor.ts'
import { tensorAlignment, tensorOfBytes } from './binary.ts'
import { classify } from './classification.ts'
import type { Codec, InferenceRequest, ModelIdentity, Parameter } from './codec.ts'
import { checkTypedAnswer, encodeRaw, encodeTyped } from './oip-grpc-answer.ts'
import { tensorOfContents } from './oip-grpc-contents.ts'
import {
  checked,
  maxFields,
  Once,
  readInput,
  readOutput,
  readParameter,
  type InputHead,
  type OutputHead,
} from './oip-grpc-request.ts'
import { flagParameter } from './parameters.ts'
import { checkDatatype, checkShape, inputNamed, inSignatureOrder } from './signature.ts'

/** Nothing beside the message says how to read it. */
export type OipGrpcOptions = Readonly<Record<string, never>>

export const oipGrpc: Codec<OipGrpcOptions> = { decode: decodeRequest }

function decodeRequest(body: Uint8Array<ArrayBuffer>, model: ModelIdentity): InferenceRequest {
  const reader = new ProtoReader(body, 'ModelInferRequest')
  const once = new Once('')
  const parameters = new Map<string, Parameter>()
  const inputs: InputHead[] = []
  const outputs: OutputHead[] = []
  const raw: Uint8Array<ArrayBuffer>[] = []
  let id = ''
  for (let fields = 0; reader.next(); fields++) {
    if (fields === maxFields) throw reader.broken(`it has more than ${maxFields} fields`)
    switch (reader.field) {
      case 1:
        once.string(reader, 'model_name')
        break
      case 2:
        once.string(reader, 'model_version')
        break
      case 3:
        id = once.string(reader, 'id')
        break
      case 4:
        readParameter(reader, 'parameters', parameters)
        break
      case 5:
        inputs.push(readInput(reader, `inputs[${inputs.length}]`))
        break
      case 6:
        outputs.push(readOutput(reader, `outputs[${outputs.length}]`, outputs, model))
        break
      case 7:
        reader.expect(wireType.bytes, 'raw_input_contents')
        raw.push(reader.view())
        break
      default:
        reader.skip()
    }
  }
  const given = checked('parameters', parameters)
  const typed = flagParameter('parameters', given, 'binary_data_output') === false
  const wanted = outputs.length > 0 ? outputs : model.signature.outputs.map(({ name }) => ({ name, classes: 0 }))
  if (typed) checkTypedAnswer(wanted, model)
  return {
    id: id === '' ? undefined : id,
    inputs: inSignatureOrder(tensorsOf(inputs, raw, model, body.byteOffset), model.signature),
    outputs: wanted.map(({ name }) => name),
    parameters: given,
    answer(tensors) {
      const answered = tensors.map((tensor, at) => {
        const classes = wanted[at]?.classes ?? 0
        return classes > 0 ? classify(tensor, classes) : tensor
      })
      return typed ? encodeTyped(id, answered, model) : encodeRaw(id, answered, model, body.buffer)
    },
  }
}

/** @param start where the message begins in its buffer, all of whose heads have been read */
function tensorsOf(
  heads: readonly InputHead[],
  raw: readonly Uint8Array<ArrayBuffer>[],
  model: ModelIdentity,
  start: number,
): Tensor[] {
  const names = new Set<string>()
  let free = start
  const tensors = heads.map(({ field, name, datatype, shape, contents }, at) => {
    const spec = inputNamed(`${field}.name`, name, model.signature)
    if (names.has(name)) throw fault('InputTwice', { field: `${field}.name`, found: name })
    names.add(name)
    if (!isDatatype(datatype)) {
      throw fault('DatatypeUnknown', { field: `${field}.datatype`, found: datatype, known: datatypes.join(', ') })
    }
    checkDatatype(`${field}.datatype`, spec, datatype)
    checkShape(`${field}.shape`, spec, shape)
    if (contents !== undefined) {
      if (raw.length > 0) throw fault('ContentsAndRaw', { name, model: model.name })
      return tensorOfContents(`${field}.contents`, name, datatype, shape, contents)
    }
    const bytes = raw[at]
    if (bytes !== undefined) {
      const placed = movedDown(bytes, free)
      free = placed.byteOffset + placed.byteLength
      return tensorOfBytes(`raw_input_contents[${at}]`, name, datatype, shape, placed)
    }
    if (elementCount(shape) === 0) return zeros(name, datatype, shape)
    throw fault('TensorDataMissing', { name, model: model.name })
  })
  if (raw.length > heads.length) throw fault('RawCount', { found: raw.length, expected: heads.length })
  return tensors
}

/**
 * Moves the bytes of a tensor down to where tensors must lie, over what nobody needs any more: everything in front of
 * them but the tensors before. Measured for 602 KB: a copy into fresh memory takes 150 to 220 µs, a move 12 µs.
 * @param free from where on the buffer may be written over
 * @returns the bytes as they are where there is no room, for a copy
 */
function movedDown({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>, free: number): Uint8Array<ArrayBuffer> {
  const target = byteOffset - (byteOffset % tensorAlignment)
  const start = target < free ? byteOffset : target
  if (start < byteOffset) new Uint8Array(buffer).copyWithin(start, byteOffset, byteOffset + byteLength)
  return new Uint8Array(buffer, start, byteLength)
}
