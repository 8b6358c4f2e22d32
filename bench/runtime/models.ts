// The models that the runtime and its peers serve, with weights from a fixed formula, and the same request in each form.
// All of them take `x`, FP32, with a batch dimension, and give `y`.
import { encode } from '../../runtime/grpc/protobuf/message.ts'
import { ModelInferRequest } from '../../runtime/grpc/api/inference.ts'
import { onnxModel, type Initializer, type Node } from '../../test/fixtures/onnx.ts'

export type ModelName = 'tiny' | 'large' | 'cnn' | 'shrink'

export interface Model {
  readonly bytes: Uint8Array
  /** The shape of one request. */
  readonly input: readonly number[]
  readonly outputs: number
}

/** Numbers in [-scale, scale] that are the same on every machine and run. */
const numbers = (count: number, scale: number, seed: number): Float32Array<ArrayBuffer> => {
  const values = new Float32Array(count)
  let state = seed >>> 0 || 1
  for (let at = 0; at < count; at += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    values[at] = ((state >>> 0) / 2 ** 31 - 1) * scale
  }
  return values
}

const weights = (name: string, shape: readonly number[], inputs: number): Initializer => {
  const values = numbers(
    shape.reduce((a, b) => a * b, 1),
    Math.sqrt(3 / inputs),
    name.length * 7919 + shape[0]!,
  )
  return { name, type: 'FLOAT', shape, data: new Uint8Array(values.buffer) }
}

/** Layers of MatMul and ReLU. */
function mlp(sizes: readonly number[]): Model {
  const nodes: Node[] = []
  const initializers: Initializer[] = []
  let from = 'x'
  for (let layer = 1; layer < sizes.length; layer += 1) {
    const [inputs = 0, outputs = 0] = sizes.slice(layer - 1)
    const last = layer === sizes.length - 1
    initializers.push(weights(`w${layer}`, [inputs, outputs], inputs))
    nodes.push({ op: 'MatMul', inputs: [from, `w${layer}`], outputs: [last ? 'y' : `h${layer}`] })
    if (!last) nodes.push({ op: 'Relu', inputs: [`h${layer}`], outputs: [`r${layer}`] })
    from = `r${layer}`
  }
  const [input = 0] = sizes
  const outputs = sizes.at(-1) ?? 0
  return { bytes: model(nodes, [input], initializers, outputs), input: [1, input], outputs }
}

/** Expansion, channels, repeats and stride of each stage. @see https://arxiv.org/abs/1801.04381 table 2 */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const

/** MobileNetV2's graph with its normalisation folded away, and 1,000 classes. */
function mobileNet(): Model {
  const nodes: Node[] = []
  const initializers: Initializer[] = []
  let made = 0
  const conv = (from: string, inputs: number, outputs: number, side: number, stride: number, group = 1): string => {
    const name = `c${(made += 1)}`
    initializers.push(weights(`w${name}`, [outputs, inputs / group, side, side], (inputs / group) * side * side))
    nodes.push({
      op: 'Conv',
      inputs: [from, `w${name}`],
      outputs: [name],
      attributes: {
        group: { int: group },
        kernel_shape: { ints: [side, side] },
        strides: { ints: [stride, stride] },
        pads: { ints: Array.from({ length: 4 }, () => side >> 1) },
      },
    })
    return name
  }
  const relu = (from: string): string => {
    nodes.push({ op: 'Relu', inputs: [from], outputs: [`r${from}`] })
    return `r${from}`
  }
  let channels = 32
  let at = relu(conv('x', 3, channels, 3, 2))
  for (const [expansion, outputs, repeats, firstStride] of stages) {
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const stride = repeat === 0 ? firstStride : 1
      const wide = channels * expansion
      const expanded = expansion === 1 ? at : relu(conv(at, channels, wide, 1, 1))
      const narrow = conv(relu(conv(expanded, wide, wide, 3, stride, wide)), wide, outputs, 1, 1)
      if (stride === 1 && channels === outputs) {
        nodes.push({ op: 'Add', inputs: [at, narrow], outputs: [`a${narrow}`] })
        at = `a${narrow}`
      } else at = narrow
      channels = outputs
    }
  }
  const top = relu(conv(at, channels, 1280, 1, 1))
  initializers.push(weights('wy', [1280, 1000], 1280))
  nodes.push(
    { op: 'GlobalAveragePool', inputs: [top], outputs: ['pool'] },
    { op: 'Flatten', inputs: ['pool'], outputs: ['flat'] },
    { op: 'MatMul', inputs: ['flat', 'wy'], outputs: ['y'] },
  )
  return { bytes: model(nodes, [3, 224, 224], initializers, 1000), input: [1, 3, 224, 224], outputs: 1000 }
}

/** Takes an image and gives the first column of it: next to no work, so what is left is the server's. */
function shrink(): Model {
  const int64 = (name: string, value: number): Initializer => ({
    name,
    type: 'INT64',
    shape: [1],
    data: new Uint8Array(new BigInt64Array([BigInt(value)]).buffer),
  })
  const nodes: Node[] = [
    { op: 'Flatten', inputs: ['x'], outputs: ['flat'] },
    { op: 'Slice', inputs: ['flat', 'zero', 'ten', 'one'], outputs: ['y'] },
  ]
  const initializers = [int64('zero', 0), int64('ten', 10), int64('one', 1)]
  return { bytes: model(nodes, [3, 224, 224], initializers, 10), input: [1, 3, 224, 224], outputs: 10 }
}

const model = (
  nodes: readonly Node[],
  input: readonly number[],
  initializers: readonly Initializer[],
  outputs: number,
): Uint8Array =>
  onnxModel({
    nodes,
    inputs: [{ name: 'x', type: 'FLOAT', shape: ['batch', ...input] }],
    outputs: [{ name: 'y', type: 'FLOAT', shape: ['batch', outputs] }],
    initializers,
  })

export const models: Readonly<Record<ModelName, () => Model>> = {
  tiny: () => mlp([64, 256, 10]),
  large: () => mlp([1024, 4096, 4096, 1000]),
  cnn: mobileNet,
  shrink,
}

export const forms = ['json', 'binary', 'grpc'] as const
export type Form = (typeof forms)[number]

export interface Body {
  readonly bytes: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** The values that every request of a model carries; short ones, as rounded measurements are. */
export const inputOf = ({ input }: Pick<Model, 'input'>): Float32Array<ArrayBuffer> =>
  numbers(
    input.reduce((a, b) => a * b, 1),
    1,
    17,
  ).map((value) => Math.round(value * 1e6) / 1e6)

/** A request as the Open Inference Protocol has it. */
export function bodyOf(model: Pick<Model, 'input'>, form: Form): Body {
  const data = inputOf(model)
  const x = { name: 'x', shape: model.input, datatype: 'FP32' }
  if (form === 'json') {
    const values = Array.from(data, (value) => Number(value.toFixed(6)))
    return {
      bytes: Buffer.from(JSON.stringify({ inputs: [{ ...x, data: values }] })),
      headers: { 'content-type': 'application/json' },
    }
  }
  const tensor = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (form === 'grpc') {
    const message = {
      model_name: 'm',
      inputs: [{ ...x, shape: model.input.map(BigInt) }],
      raw_input_contents: [tensor],
    }
    return { bytes: encode(ModelInferRequest, message), headers: {} }
  }
  const head = Buffer.from(
    JSON.stringify({
      inputs: [{ ...x, parameters: { binary_data_size: tensor.byteLength } }],
      outputs: [{ name: 'y', parameters: { binary_data: true } }],
    }),
  )
  return {
    bytes: Buffer.concat([head, tensor]),
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) },
  }
}
