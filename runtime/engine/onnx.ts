/**
 * The engine on ONNX Runtime, through its synchronous native binding.
 * It must run in a thread that may block, and that thread must never be terminated during a run: that aborts the process.
 *
 * The package's own `run` only defers the same blocking call, and its Tensor class refuses float16 on Node 24
 * (microsoft/onnxruntime#26791); plain objects passed to the binding work for every type.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env, type Tensor as OrtTensor } from 'onnxruntime-node'
import { binding, initOrt } from 'onnxruntime-node/dist/binding.js'
import { fault, printBytes, wordsOf, type Fault } from '../errors.ts'
import { tensor, type Datatype, type Signature, type Tensor, type TensorData, type TensorSpec } from '../tensor.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { gpuFault, gpuSurroundings, providerTimes } from './gpu.ts'

/**
 * Loads a model file and reads its signature.
 * @param sizeBytes the file's size, for messages
 * @throws Fault `ModelInvalid` or `ModelUnsupported`
 */
export function loadOnnx(file: string, sizeBytes: number, { device, intraOpThreads }: EngineOptions): OnnxEngine {
  const session = new runtime.InferenceSession()
  const profiles = device === 'GPU' ? mkdtempSync(join(tmpdir(), 'slipway-profile-')) : undefined
  try {
    session.loadModel(file, {
      // With the CPU as a second choice ONNX Runtime would take it without a word.
      executionProviders: [device === 'GPU' ? 'cuda' : 'cpu'],
      ...(profiles === undefined ? {} : { enableProfiling: true, profileFilePrefix: join(profiles, 'run') }),
      intraOpNumThreads: intraOpThreads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Every failure is thrown too; the native logger would only add unstructured lines to stderr.
      logSeverityLevel: 4,
      // A pod shares its node, limit or not: threads that wait for work must not burn the neighbours' CPU (decision 0075).
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    })
  } catch (error) {
    const words = wordsOf(error)
    if (device === 'GPU' && /ExecutionProvider|CUDA|cudnn|cublas/i.test(words)) {
      throw gpuFault(tidy(words), gpuSurroundings())
    }
    throw loadFault(words, sizeBytes)
  }
  try {
    return new OnnxEngine(session, profiles)
  } catch (error) {
    session.dispose()
    throw error
  }
}

export class OnnxEngine implements Engine {
  readonly signature: Signature
  readonly #session: NativeSession
  readonly #profiles: string | undefined

  constructor(session: NativeSession, profiles: string | undefined) {
    this.#session = session
    this.#profiles = profiles
    this.signature = {
      inputs: session.inputMetadata.map((value) => specOf(value, 'input')),
      outputs: session.outputMetadata.map((value) => specOf(value, 'output')),
    }
  }

  run(inputs: readonly Tensor[], outputs: readonly string[]): Tensor[] {
    const feeds: Record<string, NativeTensor> = {}
    for (const input of inputs) {
      const { name, datatype, shape } = input
      const data = input.datatype === 'BYTES' ? textsOf(input.name, input.data) : input.data
      feeds[name] = { type: nativeTypes[datatype], data, dims: shape, location: 'cpu' }
    }
    const fetches: Record<string, null> = {}
    for (const name of outputs) fetches[name] = null
    let results: Readonly<Record<string, OrtTensor>>
    try {
      results = this.#session.run(feeds, fetches, { logSeverityLevel: 4 })
    } catch (error) {
      throw runFault(wordsOf(error))
    }
    return outputs.map((name) => {
      const result = results[name]
      if (result === undefined) throw fault('RunFailed', { words: `it gave no output ${name}` })
      return resultTensor(name, result)
    })
  }

  /**
   * Time that each execution provider computed since loading, in microseconds. It is counted for a GPU only, and only
   * until this is called.
   */
  providerTimes(): ReadonlyMap<string, number> {
    const folder = this.#profiles
    if (folder === undefined) return new Map()
    this.#session.endProfiling()
    const [name = ''] = readdirSync(folder)
    const times = providerTimes(readFileSync(join(folder, name), 'utf8'))
    rmSync(folder, { recursive: true })
    return times
  }

  dispose(): void {
    this.#session.dispose()
  }
}

/** What the binding takes; its own type declarations ask for a class instance that it does not need. */
interface NativeTensor {
  readonly type: string
  readonly data: TensorData | string[]
  readonly dims: readonly number[]
  readonly location: 'cpu'
}

interface NativeValue {
  readonly name: string
  readonly isTensor: boolean
  /** An ONNX TensorProto.DataType. Absent when it is not a tensor, like `shape`. */
  readonly type?: number
  readonly shape?: readonly number[]
}

interface NativeSession {
  loadModel(path: string, options: object): void
  readonly inputMetadata: readonly NativeValue[]
  readonly outputMetadata: readonly NativeValue[]
  run(feeds: object, fetches: object, options: object): Readonly<Record<string, OrtTensor>>
  endProfiling(): void
  dispose(): void
}

env.logLevel = 'fatal'
initOrt()
const runtime: { readonly InferenceSession: new () => NativeSession } = binding

const nativeTypes: Readonly<Record<Datatype, string>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
}

const datatypeOfNative = new Map<string, Datatype>()
for (const [datatype, type] of Object.entries(nativeTypes)) datatypeOfNative.set(type, datatype as Datatype)

/** Datatypes by ONNX TensorProto.DataType. */
const datatypeOfElement: Readonly<Record<number, Datatype>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
}

const refusedElements: Readonly<Record<number, string>> = {
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
}

function specOf({ name, isTensor, type = 0, shape = [] }: NativeValue, role: 'input' | 'output'): TensorSpec {
  if (!isTensor) throw fault('NotATensor', { role, name })
  const datatype = datatypeOfElement[type]
  if (datatype === undefined) {
    throw fault('DatatypeUnsupported', { role, name, type: refusedElements[type] ?? `ONNX type ${type}` })
  }
  return { name, datatype, shape: shape.map((size) => (size < 0 ? -1 : size)) }
}

function resultTensor(name: string, { type, dims, data }: OrtTensor): Tensor {
  const datatype = datatypeOfNative.get(type)
  if (datatype === undefined) throw fault('RunFailed', { words: `it gave the output ${name} as ${type}` })
  if (datatype === 'FP16' && ArrayBuffer.isView(data)) {
    // Node 24 gives float16 results as Float16Array, whatever the declared type says.
    return tensor(name, datatype, dims, new Uint16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length))
  }
  if (datatype === 'BYTES') {
    return tensor(
      name,
      datatype,
      dims,
      Array.from(data as string[], (text) => Buffer.from(text)),
    )
  }
  return tensor(name, datatype, dims, data as TensorData)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The binding takes strings only, and cuts them at NUL: what it would corrupt silently is refused. */
function textsOf(name: string, elements: readonly Uint8Array[]): string[] {
  return elements.map((bytes, index) => {
    if (bytes.includes(0)) throw fault('TextRefused', { name, index, problem: 'text with the character U+0000' })
    try {
      return utf8.decode(bytes)
    } catch {
      throw fault('TextRefused', { name, index, problem: 'not UTF-8 text' })
    }
  })
}

function loadFault(error: string, sizeBytes: number): Fault {
  const words = tidy(error)
  if (/protobuf parsing failed|does not have a graph/i.test(error)) {
    return fault('ModelUnreadable', { size: printBytes(sizeBytes), words })
  }
  if (/external (data|initializer)/i.test(error)) return fault('ExternalData', { words })
  if (
    /not a registered function|no op registered|could not find an implementation|not_implemented|unsupported model ir|opset/i.test(
      error,
    )
  ) {
    return fault('OperatorUnsupported', { version: env.versions.node ?? '', words })
  }
  return fault('ModelBroken', { words })
}

function runFault(error: string): Fault {
  const words = tidy(error)
  // These are ONNX Runtime's own checks of the feed, before the model runs.
  if (/^(Invalid rank for input|Got invalid dimensions for input|Unexpected input data type)/i.test(error)) {
    return fault('InputRefused', { words, model: '<model>' })
  }
  return fault('RunFailed', { words })
}

/** ONNX Runtime's words without the places in its source code, which mean nothing to a user. */
function tidy(words: string): string {
  return words
    .replace(/^Load model from \S+ failed:\s*/, '')
    .replaceAll(/\/onnxruntime_src\/\S+:\d+ [^()]*\([^)]*\)(?: const)?(?: \[with [^\]]*\])?\s*/g, '')
    .replace(/ ?Please fix either the inputs\/outputs or the model\./, '')
    .replaceAll(/\s+/g, ' ')
    .replace(/[.;\s]+$/, '')
    .slice(0, 600)
}
