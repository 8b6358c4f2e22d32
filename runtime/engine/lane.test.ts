import { expect, test } from '@jest/globals'
import { tensor, type Signature } from '../tensor.ts'
import type { Engine } from './engine.ts'
import { ShortLane } from './lane.ts'

const value = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 2] }) as const
const signature: Signature = { inputs: [value('x')], outputs: [value('y')] }
const example = [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] as const
const rest = { codec: 'oip-rest', options: { headerLength: undefined } } as const

/** A lane whose runs take what the test says, in milliseconds of its clock, and double what they get. */
const laneOf = (takes: () => number = () => 0.05) => {
  let clock = 0
  const ran: number[] = []
  const engine: Engine = {
    signature,
    run([input]) {
      clock += takes()
      const data = Float32Array.from(input?.data as Float32Array, (each) => each * 2)
      ran.push(data.length)
      return [tensor('y', 'FP32', input?.shape ?? [], data)]
    },
    dispose() {},
  }
  const model = { name: 'm', version: '1', signature }
  return { lane: new ShortLane(engine, model, example, () => clock), ran }
}

const bodyOf = (rows: number, extra = {}): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(
    Buffer.from(
      JSON.stringify({
        inputs: [
          { name: 'x', datatype: 'FP32', shape: [rows, 2], data: Array.from({ length: rows * 2 }, (_, at) => at) },
        ],
        ...extra,
      }),
    ),
  )
const ask = (body: Uint8Array<ArrayBuffer>, waitedMs = 0) => ({ wire: rest, body, waitedMs })

test('a small request is answered as a worker would', () => {
  const { lane } = laneOf()
  const result = lane.run(ask(bodyOf(1, { id: 'a' })))
  if (result?.ok !== true) throw new Error('it was not answered')
  const answer = JSON.parse(Buffer.from(result.body).toString()) as object
  expect(answer).toMatchObject({ id: 'a', model_name: 'm', outputs: [{ name: 'y', shape: [1, 2], data: [0, 2] }] })
  expect(result.times).toMatchObject({ runMs: 0.05, batchSize: 1 })
})

test('a wrong request is refused as a worker would', () => {
  const { lane, ran } = laneOf()
  const refusals = ['{', JSON.stringify({ inputs: [] })].map((text) =>
    lane.run(ask(Uint8Array.from(Buffer.from(text)))),
  )
  expect(refusals).toMatchObject([
    { ok: false, fault: { status: 400 } },
    { ok: false, fault: { status: 400 } },
  ])
  expect(lane.run(ask(bodyOf(1, { parameters: { timeout: 1000 } }), 2))).toMatchObject({
    ok: false,
    fault: { code: 'TimeoutPassed' },
  })
  expect(ran).toEqual([])
})

test('what is larger than was measured is left to a worker, whole as it came', () => {
  const { lane, ran } = laneOf()
  const [fits, wide, long] = [bodyOf(8), bodyOf(9), bodyOf(1, { id: 'x'.repeat(20_000) })]
  const before = [wide, long].map((body) => Buffer.from(body).toString('hex'))
  expect(lane.run(ask(fits))).toMatchObject({ ok: true })
  expect([wide, long].map((body) => lane.run(ask(body)))).toEqual([undefined, undefined])
  expect([wide, long].map((body) => Buffer.from(body).toString('hex'))).toEqual(before)
  expect(ran).toEqual([16])
})

test('a gRPC message is left to a worker: reading it twice is not possible', () => {
  const { lane } = laneOf()
  expect(lane.run({ wire: { codec: 'oip-grpc', options: {} }, body: bodyOf(1), waitedMs: 0 })).toBeUndefined()
})

test.each([
  ['one run that is far too long', [60], 1],
  ['three that are too long', [6, 0.1, 6, 0.1, 6], 5],
])('%s closes it for good, with words', (_, times, answered) => {
  const left = [...times]
  const { lane } = laneOf(() => left.shift() ?? 0.1)
  const results = Array.from({ length: 10 }, () => lane.run(ask(bodyOf(1))) !== undefined)
  expect(results.filter(Boolean)).toHaveLength(answered)
  expect(lane.closed).toMatch(/^a run took \d+ ms, too long/)
})

test('two long runs, as a collection of garbage may make them, do not close it', () => {
  const left = [6, 0.1, 6]
  const { lane } = laneOf(() => left.shift() ?? 0.1)
  for (let turn = 0; turn < 50; turn += 1) expect(lane.run(ask(bodyOf(1)))).toBeDefined()
})
