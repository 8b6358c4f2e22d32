// The models that the runtime and its peers serve, and what they are asked: some with weights from a fixed formula, which
// take `x`, FP32, with a batch dimension, and give `y`; and two real ones, out of packages.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onnxModel, type Initializer, type Node } from '../../test/fixtures/onnx.ts'
import { ppocrRecognition } from '../../scripts/ppocr.ts'
import { sileroModels } from '../../scripts/silero.ts'
import { numbers, shortNumbers, type Feed } from './requests.ts'

export type ModelName = 'tiny' | 'large' | 'cnn' | 'shrink' | 'silero' | 'ppocr'

/** An input or output as a server's owner has to declare it; -1 for what differs from request to request. */
export interface Declared {
  readonly name: string
  readonly datatype: Feed['datatype']
  readonly shape: readonly number[]
}

export interface Model {
  /** Brings its file. @param folder where generated ones go @returns its path */
  readonly file: (folder: string) => Promise<string>
  readonly inputs: readonly Declared[]
  readonly outputs: readonly Declared[]
  /** What a client asks, one request after another, then from the start. */
  readonly requests: readonly (readonly Feed[])[]
}

/** A model that is made here. */
interface Made {
  readonly bytes: Uint8Array
  /** The shape of one request. */
  readonly input: readonly number[]
  readonly outputs: number
}

const made = (name: ModelName, { bytes, input, outputs }: Made): Model => ({
  file(folder) {
    const path = join(folder, `${name}.onnx`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, bytes)
    return Promise.resolve(path)
  },
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, ...input.slice(1)] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, outputs] }],
  requests: [[{ name: 'x', datatype: 'FP32', shape: input, data: shortNumbers(input) }]],
})

/** A step of a stream: 32 ms of sound with the 4 ms before them, the memory of the step before, and the sound's rate. */
function silero(): Model {
  const [sound, state] = [
    [1, 576],
    [2, 1, 128],
  ]
  return {
    file: async () => (await sileroModels()).v6,
    inputs: [
      { name: 'input', datatype: 'FP32', shape: [-1, -1] },
      { name: 'state', datatype: 'FP32', shape: [2, -1, 128] },
      { name: 'sr', datatype: 'INT64', shape: [] },
    ],
    outputs: [
      { name: 'output', datatype: 'FP32', shape: [-1, 1] },
      { name: 'stateN', datatype: 'FP32', shape: [2, -1, 128] },
    ],
    requests: [
      [
        { name: 'input', datatype: 'FP32', shape: sound, data: shortNumbers(sound) },
        { name: 'state', datatype: 'FP32', shape: state, data: shortNumbers(state) },
        { name: 'sr', datatype: 'INT64', shape: [], data: BigInt64Array.of(16_000n) },
      ],
    ],
  }
}

/** Lines of text of several lengths: 48 pixels high, as wide as the line is long. */
function ppocr(): Model {
  const [rows, classes] = [48, 6625]
  return {
    file: ppocrRecognition,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3, rows, -1] }],
    outputs: [{ name: 'softmax_11.tmp_0', datatype: 'FP32', shape: [-1, -1, classes] }],
    requests: lineWidths.map((width) => {
      const shape = [1, 3, rows, width]
      return [{ name: 'x', datatype: 'FP32', shape, data: shortNumbers(shape) }]
    }),
  }
}

/** In pixels; a word, and lines of some ten to thirty letters. */
const lineWidths = [96, 320, 160, 240] as const

const weights = (name: string, shape: readonly number[], inputs: number): Initializer => {
  const values = numbers(
    shape.reduce((a, b) => a * b, 1),
    Math.sqrt(3 / inputs),
    name.length * 7919 + shape[0]!,
  )
  return { name, type: 'FLOAT', shape, data: new Uint8Array(values.buffer) }
}

/** Layers of MatMul and ReLU. */
function mlp(sizes: readonly number[]): Made {
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
function mobileNet(): Made {
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
function shrink(): Made {
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
  tiny: () => made('tiny', mlp([64, 256, 10])),
  large: () => made('large', mlp([1024, 4096, 4096, 1000])),
  cnn: () => made('cnn', mobileNet()),
  shrink: () => made('shrink', shrink()),
  silero,
  ppocr,
}
