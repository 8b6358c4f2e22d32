/**
 * ModelInferResponse: raw as Triton's answers are, or with typed contents for who asks for them.
 */
import { fault } from '../errors.ts'
import { wireType } from '../grpc/protobuf/reader.ts'
import { ProtoWriter } from '../grpc/protobuf/writer.ts'
import type { Datatype, Tensor } from '../tensor.ts'
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
  const writer = answerHead(id, model)
  for (const output of outputs) writer.bytes(5, outputHead(output).finish())
  const head = writer.finish()
  const tensors = outputs.map((output) => {
    const size = byteLengthOf(output)
    return { output, size, prefix: new ProtoWriter(8).tag(6, wireType.bytes).uint32(size).finish() }
  })
  const total = tensors.reduce((sum, { size, prefix }) => sum + prefix.byteLength + size, head.byteLength)
  const fits = total <= old.byteLength && outputs.every((output) => !liesIn(output, old))
  // Not from Node's pool, because the answer is transferred. Every byte of it is written below.
  const body = fits ? Buffer.from(old, 0, total) : Buffer.allocUnsafeSlow(total)
  body.set(head)
  let at = head.byteLength
  for (const { output, prefix } of tensors) {
    body.set(prefix, at)
    at = writeTensor(output, body, at + prefix.byteLength)
  }
  return { body, headers: {} }
}

function liesIn({ datatype, data }: Tensor, memory: ArrayBuffer): boolean {
  return datatype === 'BYTES' ? data.some(({ buffer }) => buffer === memory) : data.buffer === memory
}

export function encodeTyped(id: string, outputs: readonly Tensor[], model: ModelIdentity): Encoded {
  const writer = answerHead(id, model)
  for (const output of outputs) writer.bytes(5, outputHead(output).bytes(5, contentsOf(output)).finish())
  return { body: writer.finish(), headers: {} }
}

function answerHead(id: string, { name, version }: ModelIdentity): ProtoWriter {
  const writer = new ProtoWriter(256).string(1, name).string(2, version)
  return id === '' ? writer : writer.string(3, id)
}

function outputHead({
  name,
  datatype,
  shape,
}: {
  name: string
  datatype: Datatype
  shape: readonly number[]
}): ProtoWriter {
  const writer = new ProtoWriter(64).string(1, name).string(2, datatype)
  if (shape.length === 0) return writer
  const packed = new ProtoWriter(shape.length * 2)
  for (const size of shape) packed.varint64(size, Math.floor(size / 2 ** 32))
  return writer.bytes(3, packed.finish())
}
