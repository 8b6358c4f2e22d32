/**
 * The inside of an inference worker: loads one model, then decodes, runs and encodes one request after another.
 * It must answer every order exactly once, whatever happens inside.
 */
import type { MessagePort } from 'node:worker_threads'
import { reportOf } from '../errors.ts'
import { decode } from '../protocols/codecs.ts'
import type { ModelIdentity } from '../protocols/codec.ts'
import type { Engine } from './engine.ts'
import type { InferOrder, LoadOrder, Order, Reply } from './messages.ts'
import { loadOnnx } from './onnx.ts'
import { selfTest } from './selftest.ts'

interface LoadedModel {
  readonly engine: Engine
  readonly identity: ModelIdentity
}

/** Warming up ends here even if fewer runs were made than asked for: a slow model must not keep a pod from its users. */
const maxWarmupMs = 30_000

/** Serves the orders of the main thread until that ends this one. */
export function runWorker(port: MessagePort): void {
  let model: LoadedModel | undefined
  port.on('message', (order: Order) => {
    if (order.type === 'infer') {
      const reply = infer(order, model)
      port.postMessage(reply, reply.type === 'answer' ? [reply.body.buffer] : [])
      return
    }
    const { loaded, reply } = load(order)
    model = loaded
    port.postMessage(reply)
  })
}

function load(order: LoadOrder): { loaded: LoadedModel | undefined; reply: Reply } {
  try {
    const started = performance.now()
    const engine = loadOnnx(order.file, order.sizeBytes, order)
    const loadedAt = performance.now()
    const { inputs, note } = selfTest(engine)
    const outputs = engine.signature.outputs.map(({ name }) => name)
    const warmFrom = performance.now()
    const wanted = inputs === undefined ? 0 : order.warmupRequests
    let warmupRuns = 0
    while (warmupRuns < wanted && performance.now() - warmFrom < maxWarmupMs) {
      engine.run(inputs ?? [], outputs)
      warmupRuns += 1
    }
    const { signature } = engine
    return {
      loaded: { engine, identity: { name: order.modelName, version: order.modelVersion, signature } },
      reply: {
        type: 'loaded',
        signature,
        loadMs: loadedAt - started,
        selfTest: note,
        warmupRuns,
        warmupMs: performance.now() - warmFrom,
      },
    }
  } catch (error) {
    return { loaded: undefined, reply: { type: 'loadFailed', fault: reportOf(error) } }
  }
}

function infer({ id, wire, body }: InferOrder, model: LoadedModel | undefined): Reply {
  const taken = performance.now()
  let started = 0
  try {
    if (model === undefined) throw new Error('a request came before the model was loaded')
    const { engine, identity } = model
    const request = decode(wire, body, identity)
    started = performance.now()
    const outputs = engine.run(request.inputs, request.outputs)
    const runMs = performance.now() - started
    const answer = request.answer(outputs)
    const workMs = performance.now() - taken
    return { type: 'answer', id, ...answer, runMs, workMs }
  } catch (error) {
    return { type: 'refused', id, fault: reportOf(error), runMs: started === 0 ? 0 : performance.now() - started }
  }
}
