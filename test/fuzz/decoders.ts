/**
 * Mutates valid requests of every wire form and gives them to the decoders: whatever comes, the outcome must be tensors
 * that fit, or a Fault. Everything follows from the seed, so a finding is repeated by its number.
 */
import { Fault } from '../../runtime/errors.ts'
import type { ModelIdentity } from '../../runtime/protocols/codec.ts'
import { decode, type Wire } from '../../runtime/protocols/codecs.ts'
import { datatypes, elementCount, zeros, type Tensor } from '../../runtime/tensor.ts'
import { grpcForms } from '../fixtures/grpcforms.ts'
import { wireForms, type Message } from '../fixtures/wireforms.ts'

export interface FuzzReport {
  /** By the form that an input was written in, before it was mutated. */
  readonly forms: ReadonlyMap<string, Told>
  /** Refusals by the code of their Fault. */
  readonly refused: ReadonlyMap<string, number>
  /** The longest that one input took of this thread's processor time, in milliseconds. */
  readonly worstMs: number
}

export interface Told {
  readonly accepted: number
  readonly refused: number
}

const forms = [...wireForms, ...grpcForms]

/** Something that is neither an answer nor a Fault. */
export class Finding extends Error {
  override readonly name = 'Finding'
}

/**
 * Tries inputs number `first` to `first + count - 1` of a seed.
 * @param begins is told the number of each input before it is tried, so that one that never ends is known
 * @throws Finding with the seed and the number of the input that broke a decoder
 */
export function fuzzDecoders(seed: number, count: number, first = 0, begins?: (number: number) => void): FuzzReport {
  const refused = new Map<string, number>()
  const told = new Map(forms.map(({ name }) => [name, { accepted: 0, refused: 0 }]))
  let worstMs = 0
  for (let number = first; number < first + count; number++) {
    begins?.(number)
    const { form, message, model, mutations } = inputOf(seed, number)
    const counts = told.get(form)
    if (counts === undefined) throw new Error(`there is no form ${form}`)
    const started = process.threadCpuUsage()
    const broken = (error: Error): Finding => {
      const text = Buffer.from(message.body).toString('latin1').slice(0, 500)
      return new Finding(`seed ${seed}, input ${number} (${form}): ${String(error)}\n${text}`, { cause: error })
    }
    try {
      const request = decode(message.wire, message.body, model)
      for (const { data, shape } of request.inputs) {
        if (data.length !== elementCount(shape))
          throw new Error(`${data.length} elements in a shape of [${shape.join()}]`)
      }
      // An answer may be written over the request, whose inputs are views of its body.
      const outputs = request.outputs.map((name) =>
        structuredClone(request.inputs.find((input) => input.name === name) ?? nothing(name)),
      )
      request.answer(outputs)
      counts.accepted += 1
    } catch (error) {
      // What was not mutated is a request as clients write it: refusing it is as wrong as a crash.
      if (!(error instanceof Fault) || mutations === 0) throw broken(error as Error)
      refused.set(error.code, (refused.get(error.code) ?? 0) + 1)
      counts.refused += 1
    }
    const { user, system } = process.threadCpuUsage(started)
    worstMs = Math.max(worstMs, (user + system) / 1000)
  }
  return { forms: told, refused, worstMs }
}

type Random = () => number

/** Whole numbers from 0 to 2^32 - 1, by xorshift over a mixed seed. */
function randomOf(seed: number, number: number): Random {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  if (items.length === 0) throw new Error('nothing to pick from')
  return items[random() % items.length] as Item
}

function nothing(name: string): Tensor {
  return zeros(name, 'FP32', [0])
}

interface Input {
  readonly form: string
  readonly message: Message
  readonly model: ModelIdentity
  /** How often the message was mutated. */
  readonly mutations: number
}

function inputOf(seed: number, number: number): Input {
  const random = randomOf(seed, number)
  for (let warm = 0; warm < 4; warm++) random()
  for (;;) {
    const tensors = tensorsOf(random)
    const form = pick(random, forms)
    const message = form.request(tensors)
    if (message === undefined) continue
    const free = random() % 2 === 0
    const specs = tensors.map(({ name, datatype, shape }) => ({
      name,
      datatype,
      shape: free ? shape.map(() => -1) : shape,
    }))
    const model = { name: 'm', version: '1', signature: { inputs: specs, outputs: specs } }
    const mutations = random() % 4
    let mutated = message
    for (let times = mutations; times > 0; times--) mutated = mutate(random, mutated)
    return { form: form.name, message: mutated, model, mutations }
  }
}

function tensorsOf(random: Random): Tensor[] {
  const rows = random() % 4
  return Array.from({ length: 1 + (random() % 3) }, (_, index) => {
    const shape = [rows, ...Array.from({ length: random() % 3 }, () => random() % 4)]
    const made = zeros(`in${index}`, pick(random, datatypes), shape)
    const { data } = made
    if (Array.isArray(data)) data.forEach((_element, at) => (data[at] = Buffer.from('é"\\x'.slice(0, random() % 5))))
    else if (made.datatype !== 'BOOL') {
      const bytes = new Uint8Array(data.buffer)
      for (let at = 0; at < bytes.length; at++) bytes[at] = random()
    }
    return made
  })
}

function mutate(random: Random, message: Message): Message {
  const { body } = message
  switch (random() % 6) {
    case 0:
      return { ...message, body: body.slice(0, random() % (body.length + 1)) }
    case 1: {
      const changed = body.slice()
      if (changed.length > 0) changed[random() % changed.length] = random() % 256
      return { ...message, body: changed }
    }
    case 2: {
      const from = random() % (body.length + 1)
      const piece = body.slice(from, from + (random() % 40))
      return { ...message, body: spliced(body, random() % (body.length + 1), 0, piece) }
    }
    case 3:
      return { ...message, body: spliced(body, random() % (body.length + 1), random() % 20, new Uint8Array(0)) }
    case 4:
      return { ...message, wire: otherWire(random, message) }
    default:
      return { ...message, body: otherToken(random, body) }
  }
}

function spliced(
  body: Uint8Array<ArrayBuffer>,
  at: number,
  remove: number,
  insert: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.concat([body.subarray(0, at), insert, body.subarray(at + remove)]))
}

/** The same body under other headers. */
function otherWire(random: Random, { wire, body }: Message): Wire {
  const event = pick(random, [undefined, 'binary', 'structured'] as const)
  if (wire.codec === 'oip-rest') {
    const headerLength = pick(random, [undefined, 0, 1, random() % (body.length + 3), 0xffff_ffff])
    return { codec: 'oip-rest', options: { headerLength }, ...(event === undefined ? {} : { event }) }
  }
  return pick<Wire>(random, [
    { codec: 'torchserve', options: { json: random() % 2 === 0 } },
    { codec: 'kserve-v1', options: undefined },
    { codec: 'oip-rest', options: { headerLength: undefined } },
    { codec: 'oip-grpc', options: {} },
  ])
}

// prettier-ignore
const strangeTokens = [
  '-1', '0', '1e999', '-0.0', '1.5', '9223372036854775808', '2147483647', '99999999999999999999999', 'NaN', '-Infinity',
  'null', 'true', '""', '"x"', '"\\u0000"', '"\\ud800"', '[]', '{}', '[[]]', '[[[[[[[[]]]]]]]]', '{"b64":"AA=="}',
  '{"b64":1}', '"shape"', '"data"', '"parameters"', '{"binary_data_size":4}', '{"classification":2}', '"inputs"',
  '"outputs"', '"instances"', '"signature_name"', '"FP32"', '"BYTES"', ',', ':', ']', '}', '[', '{', '',
]

/** Puts one JSON token in another's place. */
function otherToken(random: Random, body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(body).toString('latin1')
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|[[\]{},:]/g)]
  if (tokens.length === 0) return body
  const { 0: token, index } = pick(random, tokens)
  const changed = text.slice(0, index) + pick(random, strangeTokens) + text.slice(index + token.length)
  return Uint8Array.from(Buffer.from(changed, 'latin1'))
}
