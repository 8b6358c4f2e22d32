/**
 * ModelInferResponse: raw as Triton's answers are, or with typed contents for who asks for them.
 */
import { fault } from '../errors.ts'
import { wireType } from '../grpc/protobuf/reader.ts'
import { ProtoWriter } from '../grpc/protobuf/writer.ts'
import type { Tensor } from '../tensor.ts'
import { byteLengthOf, writeTensor } from './binary.ts'
import type { Encoded, ModelIdentity } from './codec.ts'
import { contentsOf, hasContents } from './oip-grpc-contents.ts'
import type { OutputHead } from './oip-grpc-request.ts'

export function checkTypedAnswer(wanted: readonly OutputHead[], { signature }: ModelIdentity): void {
  for (const { name, classes } of wanted) {
    const spec = signature.outputs.find((output) => output.name === name)
    if (spec !== undefined && classes === 0 && !hasContents(spec.datatype)) {
      throw fault('ContentsImpossible', { field: `the output ${name}`, datatype: spec.datatype })
    }
  }
}

/**
 * Head and tensors in one piece.
 * @param old the memory of the request, which is written over when the answer fits: fresh memory costs as much again
 */
export function encodeRaw(id: string, outputs: readonly Tensor[], model: ModelIdentity, old: ArrayBuffer): Encoded {
  const writer = writeHead(id.length > longId ? new ProtoWriter(id.length) : heads.clear(), id, model)
  for (const output of outputs) writer.message(5, (inner) => writeOutput(inner, output))
  const ends = [writer.length]
  let total = 0
  let fits = true
  for (const output of outputs) {
    const size = byteLengthOf(output)
    ends.push(writer.tag(6, wireType.bytes).uint32(size).length)
    total += size
    fits &&= !liesIn(output, old)
  }
  total += writer.length
  fits &&= total <= old.byteLength
  // Not from Node's pool, because the answer is transferred. Every byte of it is written below.
  const body = fits ? Buffer.from(old, 0, total) : Buffer.allocUnsafeSlow(total)
  const head = writer.finish()
  let at = head.copy(body, 0, 0, ends[0])
  for (const [index, output] of outputs.entries()) {
    at += head.copy(body, at, ends[index], ends[index + 1])
    at = writeTensor(output, body, at)
  }
  return { body, headers: {} }
}

/** Everything but the tensors, of one answer at a time: what is written here is copied at once. */
const heads = new ProtoWriter(1024)

/** A client's id that is longer, in letters, must not keep its memory here for good; all else is as long as the model has it. */
const longId = 1024

function liesIn({ datatype, data }: Tensor, memory: ArrayBuffer): boolean {
  return datatype === 'BYTES' ? data.some(({ buffer }) => buffer === memory) : data.buffer === memory
}

export function encodeTyped(id: string, outputs: readonly Tensor[], model: ModelIdentity): Encoded {
  const writer = writeHead(new ProtoWriter(256), id, model)
  for (const output of outputs) writer.message(5, (inner) => writeOutput(inner, output).bytes(5, contentsOf(output)))
  return { body: writer.finish(), headers: {} }
}

function writeHead(writer: ProtoWriter, id: string, { name, version }: ModelIdentity): ProtoWriter {
  writer.string(1, name).string(2, version)
  return id === '' ? writer : writer.string(3, id)
}

/** The head of an InferOutputTensor. */
function writeOutput(writer: ProtoWriter, { name, datatype, shape }: Omit<Tensor, 'data'>): ProtoWriter {
  writer.string(1, name).string(2, datatype)
  return shape.length === 0 ? writer : writer.message(3, (packed) => writeShape(packed, shape))
}

function writeShape(packed: ProtoWriter, shape: readonly number[]): void {
  for (const size of shape) packed.varint64(size, Math.floor(size / 2 ** 32))
}
