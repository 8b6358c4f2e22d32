import { describe, expect, jest, test } from '@jest/globals'
import fc from 'fast-check'
import { mlpModel, onnxModel, tableModel, type Value } from '../test/fixtures/onnx.ts'
import { infer, startServer, type Answer, type Server } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

const serving = async (model: Uint8Array, environment = {}): Promise<Server> => {
  const server = await startServer(model, environment)
  await server.ready()
  return server
}
const batchingOf = (server: Server) => {
  const line = server.log.find((found) => found['event.action'] === 'loaded')
  return { size: line?.['batching.max_size'], reason: line?.['batching.reason'] }
}
const outputOf = ({ status, body }: Answer) => ({
  status,
  data: body.outputs?.[0]?.data,
  shape: body.outputs?.[0]?.shape,
})

const lookUp = (rows: readonly (readonly number[])[]): string => {
  const shape = [rows.length, rows[0]?.length ?? 0]
  return JSON.stringify({ inputs: [{ name: 'index', datatype: 'INT64', shape, data: rows.flat() }] })
}

describe('requests that arrive together', () => {
  test('share runs, and each gets its own answer, whatever rows, widths and mistakes come with them', async () => {
    const server = await serving(tableModel(), { SLIPWAY_BATCH_MAX_SIZE: '8' })
    expect(batchingOf(server)).toEqual({ size: 8, reason: 'a batch of two gave the same as two of one' })
    const index = fc.integer({ min: 0, max: 999 })
    const request = fc
      .record({
        width: fc.constantFrom(1, 3),
        rows: fc.integer({ min: 1, max: 4 }),
        bad: fc.constantFrom(false, false, false, false, true),
      })
      .chain(({ width, rows, bad }) =>
        fc.array(fc.array(bad ? fc.constant(5000) : index, { minLength: width, maxLength: width }), {
          minLength: rows,
          maxLength: rows,
        }),
      )
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (requests) => {
        const answers = await Promise.all(requests.map((rows) => infer(server, lookUp(rows))))
        requests.forEach((rows, place) => {
          const answer = answers[place]
          if (rows.flat().includes(5000)) {
            expect(answer).toMatchObject({ status: 500, body: { error: expect.stringContaining('the model failed') } })
          } else {
            const data = rows.flat().map((at) => at + 0.5)
            expect(answer && outputOf(answer)).toEqual({ status: 200, shape: [rows.length, rows[0]?.length], data })
          }
        })
      }),
      { numRuns: 20 },
    )
    expect(await server.metric('slipway_batch_size_count')).toBeGreaterThan(0)
    expect(await server.metric('slipway_batch_size_sum')).toBeGreaterThan(
      await server.metric('slipway_batch_size_count'),
    )
    expect(await server.metric('slipway_batch_retries_total')).toBeGreaterThan(0)
    await server.stop()
  })

  test('answer as alone, to the last bit that matters, when the batch size is found by measuring', async () => {
    const server = await serving(mlpModel())
    expect(batchingOf(server)).toMatchObject({ reason: expect.stringMatching(/inferences a second|no batch was/) })
    const body = (seed: number): string => {
      const data = Array.from({ length: 64 }, (_, i) => Math.fround(Math.sin(seed * 64 + i)))
      return JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 64], data }] })
    }
    const bodies = Array.from({ length: 60 }, (_, seed) => body(seed))
    const alone: Answer[] = []
    // oxlint-disable-next-line no-await-in-loop -- one at a time, so that none has company
    for (const one of bodies) alone.push(await infer(server, one))
    const together = await Promise.all(bodies.map((one) => infer(server, one)))
    together.forEach((answer, place) => {
      const expected = alone[place]?.body.outputs?.[0]?.data ?? []
      const found = answer.body.outputs?.[0]?.data ?? []
      expect(found).toHaveLength(10)
      for (const [at, value] of found.entries()) expect(value).toBeCloseTo(expected[at] ?? Number.NaN, 4)
    })
    await server.stop()
  })
})

describe('requests run one by one', () => {
  test('where the model mixes the rows of a batch, and the log says so', async () => {
    const value = (name: string): Value => ({ name, type: 'FLOAT', shape: ['batch', 2] })
    const centred = onnxModel({
      nodes: [
        { op: 'ReduceMean', inputs: ['x'], outputs: ['mean'], attributes: { axes: { ints: [0] } } },
        { op: 'Sub', inputs: ['x', 'mean'], outputs: ['y'] },
      ],
      inputs: [value('x')],
      outputs: [value('y')],
    })
    const server = await serving(centred)
    expect(batchingOf(server)).toEqual({
      size: 1,
      reason: 'a batch of two gave another y than two batches of one',
    })
    const answers = await Promise.all(
      [1, 2, 3, 4].map((n) =>
        infer(server, `{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[${n},0,0,${n}]}]}`),
      ),
    )
    expect(answers.map((answer) => outputOf(answer).data)).toEqual(
      [1, 2, 3, 4].map((n) => [n / 2, -n / 2, -n / 2, n / 2]),
    )
    expect(await server.metric('slipway_batch_size_sum')).toBe(await server.metric('slipway_batch_size_count'))
    await server.stop()
  })
})
