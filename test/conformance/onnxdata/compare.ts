/**
 * One recorded model through every form of request and answer, beside a direct run of the same file. Answers must be the
 * direct run's bits, and the direct run must be what ONNX recorded, within ONNX's own tolerance.
 */
import { statSync } from 'node:fs'
import { env, InferenceSession } from 'onnxruntime-node'
import type { Engine } from '../../../runtime/engine/engine.ts'
import { loadOnnx, type OnnxEngine } from '../../../runtime/engine/onnx.ts'
import { Fault, wordsOf } from '../../../runtime/errors.ts'
import { decode } from '../../../runtime/protocols/codecs.ts'
import type { Tensor } from '../../../runtime/tensor.ts'
import { grpcForms } from '../../fixtures/grpcforms.ts'
import { printed, wireForms, type ReadTensor, type WireForm } from '../../fixtures/wireforms.ts'
import { runDirectly } from './direct.ts'
import { draws } from './explained.ts'
import { recorded, type RecordedModel } from './files.ts'
import { distance } from './tolerance.ts'

const forms = [...wireForms, ...grpcForms]
export const formNames = forms.map(({ name }) => name)

/** What became of one model. */
export type Verdict = { readonly name: string } & (
  | { readonly compared: true; readonly forms: ReadonlyMap<string, string | null>; readonly recordedDiffers?: string }
  /** Why it cannot be compared, and whose words these are. */
  | { readonly compared: false; readonly by: NotCompared; readonly words: string }
)

/** Why a model is not compared, for people. */
export const reasons = {
  'ONNX Runtime': 'ONNX Runtime refuses the model',
  runtime: 'the runtime refuses the model, because no protocol can say its values',
  chance: 'the model draws random numbers',
  recorded: 'an input was not recorded as a tensor',
} as const
export type NotCompared = keyof typeof reasons

env.logLevel = 'fatal'

/** Compares all sets of one model. Throws only for a bug of the runtime. */
export async function compareModel({ name, file, sets }: RecordedModel): Promise<Verdict> {
  if (draws.test(name)) return { name, compared: false, by: 'chance', words: reasons.chance }
  let session: InferenceSession
  try {
    session = await InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 4 })
  } catch (error) {
    return { name, compared: false, by: 'ONNX Runtime', words: wordsOf(error) }
  }
  let engine: OnnxEngine | undefined
  try {
    engine = loadOnnx(file, statSync(file).size, { device: 'CPU', intraOpThreads: 1 })
    return await compareSets(name, sets, session, engine)
  } catch (error) {
    // What the runtime refuses it refuses in words.
    if (!(error instanceof Fault)) throw error
    return { name, compared: false, by: 'runtime', words: error.message }
  } finally {
    engine?.dispose()
    await session.release()
  }
}

async function compareSets(
  name: string,
  sets: readonly string[],
  session: InferenceSession,
  engine: Engine,
): Promise<Verdict> {
  const found = new Map<string, string | null>()
  let recordedDiffers: string | undefined
  for (const set of sets) {
    const inputs = feedsOf(engine, recorded(set, 'input'))
    if (inputs === undefined) {
      return { name, compared: false, by: 'recorded', words: reasons.recorded }
    }
    let direct: Tensor[]
    try {
      // oxlint-disable-next-line no-await-in-loop -- one session runs one after another
      direct = await runDirectly(session, inputs)
    } catch (error) {
      return { name, compared: false, by: 'ONNX Runtime', words: wordsOf(error) }
    }
    for (const form of forms) {
      const difference = compareForm(form, inputs, direct, engine)
      if (difference !== undefined) found.set(form.name, found.get(form.name) ?? difference)
    }
    for (const [index, expected] of recorded(set, 'output').entries()) {
      const output = direct[index]
      if (expected !== undefined && output !== undefined) recordedDiffers ??= distance(output, expected)
    }
  }
  return { name, compared: true, forms: found, ...(recordedDiffers === undefined ? {} : { recordedDiffers }) }
}

/** The recorded inputs under the names of the graph; undefined when there is not a tensor for each. */
function feedsOf({ signature }: Engine, values: readonly (Tensor | undefined)[]): Tensor[] | undefined {
  const feeds = signature.inputs.flatMap(({ name }, index): Tensor[] => {
    const value = values.find((candidate) => candidate?.name === name) ?? values[index]
    return value === undefined ? [] : [{ ...value, name }]
  })
  return feeds.length === signature.inputs.length ? feeds : undefined
}

/** What differs, null for nothing, or undefined when the tensors cannot be said in this form. */
function compareForm(
  form: WireForm,
  inputs: readonly Tensor[],
  direct: readonly Tensor[],
  engine: Engine,
): string | null | undefined {
  const message = form.request(inputs)
  if (message === undefined) return undefined
  // Rows are answered as rows, so a model whose outputs do not have them alike cannot be asked in rows.
  const rows = direct[0]?.shape[0]
  if (form.name === 'V1 rows' && (rows === undefined || direct.some(({ shape }) => shape[0] !== rows))) return undefined
  try {
    const request = decode(message.wire, message.body, { name: 'm', version: '1', signature: engine.signature })
    const read = form.read(request.answer(engine.run(request.inputs, request.outputs)), direct)
    const expected = direct.map(printed)
    if (same(read, expected)) return null
    return firstDifference(read, expected)
  } catch (error) {
    if (error instanceof Fault) return `refused: ${error.message}`
    throw error
  }
}

function same(left: readonly ReadTensor[], right: readonly ReadTensor[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}

function firstDifference(read: readonly ReadTensor[], expected: readonly ReadTensor[]): string {
  for (const [index, { name, shape, elements }] of expected.entries()) {
    const found = read[index]
    if (found === undefined) return `${name} is missing`
    if (found.name !== name) return `${found.name} is in the place of ${name}`
    if (found.shape.join() !== shape.join())
      return `${name} has the shape [${found.shape.join()}], not [${shape.join()}]`
    const at = elements.findIndex((element, place) => element !== found.elements[place])
    if (at !== -1) return `element ${at} of ${name} is ${found.elements[at]}, not ${elements[at]}`
  }
  return 'there are more outputs than expected'
}
