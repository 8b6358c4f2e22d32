import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { inferenceClient } from '../../test/fixtures/grpc.ts'
import { onnxModel, type Value } from '../../test/fixtures/onnx.ts'
import { infer, startServer, type Server } from '../../test/fixtures/runtime.ts'
import { untouched } from '../engine/thread.ts'
import { fault } from '../errors.ts'
import type { Wire } from '../protocols/codecs.ts'
import { ResponseCache } from './cache.ts'
import type { Scheduler } from './scheduler.ts'

jest.setTimeout(120_000)

const headers = { 'content-type': 'text/plain' }
const json: Wire = { codec: 'oip-rest', options: { headerLength: undefined } }
const binary: Wire = { codec: 'oip-rest', options: { headerLength: 1 } }
const event: Wire = { codec: 'oip-rest', options: { headerLength: undefined }, event: 'binary' }

/** Answers with what it was asked, `size` bytes long; a body that begins with 9 fails. */
const echo = (size: number) => {
  const asked: string[] = []
  const answerTo = (wire: Wire, body: Uint8Array): string => `${JSON.stringify(wire)} ${body.join(' ')}`.padEnd(size)
  const scheduler: Pick<Scheduler, 'submit'> = {
    submit: (wire, body) => {
      const words = answerTo(wire, body)
      asked.push(words)
      const settled =
        body[0] === 9
          ? { ok: false as const, fault: fault('BodyMissing', {}).report(), ...untouched, waitMs: 0 }
          : { ok: true as const, body: new Uint8Array(Buffer.from(words)), headers, ...untouched, waitMs: 0 }
      return { settled: Promise.resolve(settled), cancel: () => {} }
    },
  }
  return { asked, answerTo, scheduler }
}

describe('answers that are kept', () => {
  test('are given to the same request only, within the bytes allowed, and the oldest leave first', async () => {
    const body = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 2 })
    const request = fc.record({ wire: fc.constantFrom(json, binary, event), body })
    const sizes = fc.record({ size: fc.integer({ min: 1, max: 400 }), maxBytes: fc.integer({ min: 1, max: 12_000 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 60 }), sizes, async (requests, { size, maxBytes }) => {
        const { asked, answerTo, scheduler } = echo(size)
        const cache = new ResponseCache(maxBytes)
        let hits = 0
        for (const { wire, body: values } of requests) {
          const before = asked.length
          // oxlint-disable-next-line no-await-in-loop -- one after another
          const outcome = await cache.submit(scheduler, wire, Uint8Array.from(values)).settled
          const expected = answerTo(wire, Uint8Array.from(values))
          expect(outcome.ok).toBe(values[0] !== 9)
          if (outcome.ok) expect(Buffer.from(outcome.body).toString()).toBe(expected)
          expect(outcome.recalled === true).toBe(asked.length === before)
          // Only what was answered before can be given again.
          if (outcome.recalled) expect(asked).toContain(expected)
          if (outcome.recalled) expect(wire.event).toBeUndefined()
          hits += outcome.recalled ? 1 : 0
          const { bytes, entries } = cache.figures
          expect(bytes).toBeLessThanOrEqual(maxBytes)
          expect(entries === 0).toBe(bytes === 0)
        }
        const plain = requests.filter(({ wire }) => wire.event === undefined).length
        expect(cache.figures).toMatchObject({ hits, misses: plain - hits })
      }),
    )
  })

  test('are those used last', async () => {
    const { scheduler } = echo(1)
    const cache = new ResponseCache(3000)
    const recalled = async (first: number): Promise<boolean> =>
      (await cache.submit(scheduler, json, Uint8Array.of(first)).settled).recalled === true
    const story: boolean[] = []
    // Two find room. When the third comes, 1 was used later than 2.
    // oxlint-disable-next-line no-await-in-loop -- one after another
    for (const first of [1, 2, 1, 3, 1, 2]) story.push(await recalled(first))
    expect(story).toEqual([false, false, true, false, true, false])
  })

  test('are not changed by what becomes of the bytes that were sent', async () => {
    const { scheduler } = echo(1)
    const cache = new ResponseCache(10_000)
    const first = await cache.submit(scheduler, json, Uint8Array.of(1)).settled
    if (first.ok) first.body.fill(0)
    const again = await cache.submit(scheduler, json, Uint8Array.of(1)).settled
    expect(again.ok && Buffer.from(again.body).toString()).toContain('oip-rest')
  })
})

/** `y` is random numbers of the shape of `x`: it answers the same only if it is not asked. */
const randomModel = (): Buffer => {
  const value = (name: string): Value => ({ name, type: 'FLOAT', shape: [2] })
  return onnxModel({
    nodes: [{ op: 'RandomNormalLike', inputs: ['x'], outputs: ['y'] }],
    inputs: [value('x')],
    outputs: [value('y')],
  })
}
const body = (id = 'a'): string =>
  JSON.stringify({ id, inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] })
const dataOf = async (server: Server, text: string) => {
  const { status, body: answer } = await infer(server, text)
  expect(status).toBe(200)
  return answer.outputs?.[0]?.data
}

describe('a server that may keep answers', () => {
  test('runs the model once for the same request, over HTTP and gRPC, and says so in its figures', async () => {
    const server = await startServer(randomModel(), { SLIPWAY_CACHE_MAX_BYTES: '100000' })
    await server.ready()
    const first = await dataOf(server, body())
    expect(await dataOf(server, body())).toEqual(first)
    expect(await dataOf(server, body('b'))).not.toEqual(first)

    const client = inferenceClient(server.grpcAddress)
    const message = { model_name: 'm', inputs: [{ name: 'x', datatype: 'FP32', shape: ['2'] }] }
    const ask = () => client.call('ModelInfer', { ...message, raw_input_contents: [Buffer.alloc(8)] })
    const over = await ask()
    expect((await ask()).response).toEqual(over.response)
    client.close()

    const labels = '{model="m",version="v1"}'
    expect(await server.metric(`nv_cache_num_hits_per_model${labels}`)).toBe(2)
    expect(await server.metric(`nv_cache_num_misses_per_model${labels}`)).toBe(3)
    expect(await server.metric(`nv_inference_request_success${labels}`)).toBe(5)
    expect(await server.metric(`nv_inference_count${labels}`)).toBe(3)
    expect(await server.metric('slipway_cache_entries')).toBe(3)
    const stats = await (await fetch(`${server.url}/v2/models/m/stats`)).json()
    expect(stats).toMatchObject({
      model_stats: [
        {
          inference_count: 3,
          inference_stats: { success: { count: 5 }, cache_hit: { count: 2 }, cache_miss: { count: 3 } },
        },
      ],
    })
    await server.stop()
  })

  test('keeps none unless it is told to', async () => {
    const server = await startServer(randomModel())
    await server.ready()
    expect(await dataOf(server, body())).not.toEqual(await dataOf(server, body()))
    await server.stop()
  })
})
