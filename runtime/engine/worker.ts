/**
 * The inside of an inference worker: loads one model, then decodes, runs and encodes the requests of each order.
 * It must answer every request exactly once, whatever happens inside.
 */
import type { MessagePort } from 'node:worker_threads'
import { leastReused } from '../bodymemory.ts'
import { Fault, reportOf } from '../errors.ts'
import type { ModelIdentity } from '../protocols/codec.ts'
import { readAsks, runAsks, type Decoded } from './asks.ts'
import type { Engine } from './engine.ts'
import type { InferOrder, LoadOrder, Order, Reply, Result, ResultsReply } from './messages.ts'
import { loadOnnx } from './onnx.ts'
import { prepare, type Sample } from './prepare.ts'

interface LoadedModel {
  readonly engine: Engine
  readonly identity: ModelIdentity
  readonly maxBatch: number
  readonly sample: Sample | undefined
}

/** Serves the orders of the main thread until that ends this one. */
export function runWorker(port: MessagePort): void {
  let model: LoadedModel | undefined
  const send = (reply: Reply): void => {
    if (reply.type !== 'results') return port.postMessage(reply)
    const bodies = reply.results.flatMap((one) => (one.ok ? [one.body.buffer] : []))
    return port.postMessage(reply, [...bodies, ...reply.spent])
  }
  port.on('message', (order: Order) => {
    if (order.type === 'infer') return infer(order, model, send)
    if (order.type === 'measure') return send({ type: 'measured', perSecond: measure(model, order.forMs) })
    const { loaded, reply } = load(order)
    model = loaded
    return send(reply)
  })
}

function load(order: LoadOrder): { loaded: LoadedModel | undefined; reply: Reply } {
  try {
    const started = performance.now()
    const loaded = loadOnnx(order.file, order.sizeBytes, order)
    const loadMs = performance.now() - started
    const { signature } = loaded
    const { engine, prepared, sample } = prepare(loaded, order, {
      reload: () => loadOnnx(order.file, order.sizeBytes, order),
      providerTimes: () => loaded.providerTimes(),
    })
    return {
      loaded: {
        engine,
        identity: { name: order.modelName, version: order.modelVersion, signature },
        maxBatch: prepared.batching.maxSize,
        sample,
      },
      reply: { type: 'loaded', signature, loadMs, ...prepared },
    }
  } catch (error) {
    return { loaded: undefined, reply: { type: 'loadFailed', fault: reportOf(error) } }
  }
}

/** Rows a second that the model does here and now; 0 when there is nothing to run it on, or it refuses so many rows. */
function measure(model: LoadedModel | undefined, forMs: number): number {
  try {
    return rateOf(model, forMs)
  } catch (error) {
    if (error instanceof Fault) return 0
    throw error
  }
}

function rateOf(model: LoadedModel | undefined, forMs: number): number {
  if (model?.sample === undefined) return 0
  const { engine, sample } = model
  const outputs = engine.signature.outputs.map(({ name }) => name)
  const started = performance.now()
  let runs = 0
  while (runs === 0 || performance.now() - started < forMs) {
    engine.run(sample.inputs, outputs)
    runs += 1
  }
  return (runs * sample.rows * 1000) / (performance.now() - started)
}

/** Sends the results of each run as soon as they are there: who shares it waits for nobody else. */
function infer({ asks }: InferOrder, model: LoadedModel | undefined, send: (reply: ResultsReply) => void): void {
  if (model === undefined) throw new Error('a request came before the model was loaded')
  let since = performance.now()
  const reply = (results: readonly Result[], retried: boolean, spent: readonly ArrayBuffer[] = []): void => {
    const now = performance.now()
    send({ type: 'results', results, spent, workMs: now - since, retried })
    since = now
  }
  for (let left: InferOrder['asks'] = asks; left.length > 0;) {
    const reading = readAsks(left, model.identity)
    if (reading.refused.length > 0) reply(reading.refused, false)
    for (const { members, results, retried } of runAsks(model.engine, reading.decoded, model.maxBatch))
      reply(results, retried, spentOf(members, results))
    left = reading.left
  }
}

/** The memory of requests that were answered, but for what an answer was written into. */
function spentOf(members: readonly Decoded[], results: readonly Result[]): ArrayBuffer[] {
  const answers = new Set(results.flatMap((one) => (one.ok ? [one.body.buffer] : [])))
  return members.flatMap(({ body: { buffer } }) =>
    buffer.byteLength < leastReused || answers.has(buffer) ? [] : [buffer],
  )
}
