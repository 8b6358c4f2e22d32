/**
 * Whether the time of a model's run depends on its inputs' sizes alone. A loop may take a microsecond for the made-up
 * inputs of a self-test and minutes for a number that a client sends.
 */
import { ProtoReader, wireType } from '../grpc/protobuf/reader.ts'

/** Operators that run others as often as a value says, or whose output is as large as a value says. */
const byValue = new Set([
  'Loop',
  'Scan',
  'If',
  'SequenceMap',
  'ConstantOfShape',
  'Expand',
  'OneHot',
  'Pad',
  'Range',
  'Resize',
  'Tile',
  'Upsample',
])

/**
 * @param model a ModelProto
 * @returns the first operator whose time depends on values, or what may hide one; undefined when there is none
 * @throws Fault `InvalidProtobuf`
 * @see https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto for the field numbers
 */
export function operatorByValue(model: Uint8Array<ArrayBuffer>): string | undefined {
  const reader = new ProtoReader(model, 'ModelProto')
  while (reader.next()) {
    // Functions are operators of the model's own.
    if (reader.field === 25) return 'a function of its own'
    if (reader.field !== 7 || reader.wire !== wireType.bytes) reader.skip()
    else {
      const found = inGraph(reader.message('GraphProto'))
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** What lies in graphs inside of it needs no look: the operators that hold them are in the set. */
function inGraph(graph: ProtoReader): string | undefined {
  while (graph.next()) {
    if (graph.field !== 1 || graph.wire !== wireType.bytes) {
      graph.skip()
      continue
    }
    const node = graph.message('NodeProto')
    while (node.next()) {
      if (node.field !== 4 || node.wire !== wireType.bytes) node.skip()
      else {
        const type = node.string('op_type')
        if (byValue.has(type)) return type
      }
    }
  }
  return undefined
}
