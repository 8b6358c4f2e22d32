import { describe, expect, test } from '@jest/globals'
import { ModelInferRequest } from '../grpc/api/inference.ts'
import { encode } from '../grpc/protobuf/message.ts'
import { tensor, type Signature } from '../tensor.ts'
import type { Engine } from './engine.ts'
import { ShortLane } from './lane.ts'

const value = (name: string) => ({ name, datatype: 'FP32', shape: [-1, 2] }) as const
const signature: Signature = { inputs: [value('x')], outputs: [value('y')] }
const example = [{ name: 'x', datatype: 'FP32', shape: [1, 2] }] as const
const rest = { codec: 'oip-rest', options: { headerLength: undefined } } as const

/** A lane whose runs take what the test says, in milliseconds of its clock, and double what they get. */
const laneOf = (
  takes: (rows: number) => number = () => 0.05,
  { runMs = 0.01, maxBatch = 64, waits = (): number => 0 } = {},
) => {
  let clock = 0
  /** Of that so much was spent waiting for a core. */
  let waited = 0
  const ran: number[] = []
  const engine: Engine = {
    signature,
    run([input]) {
      const pause = waits()
      clock += takes(input?.shape[0] ?? 0) + pause
      waited += pause
      const data = Float32Array.from(input?.data as Float32Array, (each) => each * 2)
      ran.push(data.length)
      return [tensor('y', 'FP32', input?.shape ?? [], data)]
    },
    dispose() {},
  }
  const model = { name: 'm', version: '1', signature }
  const lane = new ShortLane(
    engine,
    model,
    { example, runMs, maxBatch },
    {
      now: () => clock,
      spent: () => clock - waited,
    },
  )
  /** One request alone: its result. */
  const run = (ask: Ask) => (lane.room(1) === 1 && lane.suits(ask) ? lane.run([ask]).results[0] : undefined)
  /** So many that arrived together: how many of them were answered here. */
  const turn = (count: number): number => {
    const asks = Array.from({ length: lane.room(count) }, () => ask(bodyOf(1)))
    return asks.length === 0 ? 0 : lane.run(asks).results.filter((result) => result !== undefined).length
  }
  return { lane, run, turn, ran, spent: () => clock }
}
type Ask = Parameters<ShortLane['run']>[0][number]

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
  const { run } = laneOf()
  const result = run(ask(bodyOf(1, { id: 'a' })))
  if (result?.ok !== true) throw new Error('it was not answered')
  const answer = JSON.parse(Buffer.from(result.body).toString()) as object
  expect(answer).toMatchObject({ id: 'a', model_name: 'm', outputs: [{ name: 'y', shape: [1, 2], data: [0, 2] }] })
  expect(result.times).toMatchObject({ runMs: 0.05, batchSize: 1 })
})

test('a wrong request is refused as a worker would', () => {
  const { run, ran } = laneOf()
  const refusals = ['{', JSON.stringify({ inputs: [] })].map((text) => run(ask(Uint8Array.from(Buffer.from(text)))))
  expect(refusals).toMatchObject([
    { ok: false, fault: { status: 400 } },
    { ok: false, fault: { status: 400 } },
  ])
  expect(run(ask(bodyOf(1, { parameters: { timeout: 1000 } }), 2))).toMatchObject({
    ok: false,
    fault: { code: 'TimeoutPassed' },
  })
  expect(ran).toEqual([])
})

test('what is larger than was measured is left to a worker, whole as it came', () => {
  const { run, ran } = laneOf()
  const [fits, wide, long] = [bodyOf(8), bodyOf(9), bodyOf(1, { id: 'x'.repeat(20_000) })]
  const before = [wide, long].map((body) => Buffer.from(body).toString('hex'))
  expect(run(ask(fits))).toMatchObject({ ok: true })
  expect([wide, long].map((body) => run(ask(body)))).toEqual([undefined, undefined])
  expect([wide, long].map((body) => Buffer.from(body).toString('hex'))).toEqual(before)
  expect(ran).toEqual([16])
})

test('a gRPC message is answered too, and one that is too large is left to a worker as it came', () => {
  const { run } = laneOf()
  const grpc = (rows: number): Ask => {
    const input = { name: 'x', datatype: 'FP32', shape: [BigInt(rows), 2n] }
    const raw_input_contents = [Buffer.from(new Float32Array(rows * 2).buffer)]
    const message = encode(ModelInferRequest, { model_name: 'm', inputs: [input], raw_input_contents })
    return { wire: { codec: 'oip-grpc', options: {} }, body: new Uint8Array(message), waitedMs: 0 }
  }
  expect(run(grpc(1))).toMatchObject({ ok: true, times: { batchSize: 1 } })
  const wide = grpc(9)
  const before = Buffer.from(wide.body).toString('hex')
  expect(run(wide)).toBeUndefined()
  expect(Buffer.from(wide.body).toString('hex')).toBe(before)
})

test.each([
  ['one run that is far too long', [60], 1],
  ['three that are too long', [6, 0.1, 6, 0.1, 6], 5],
])('%s closes it for good, with words', (_, times, answered) => {
  const left = [...times]
  const { lane, run } = laneOf(() => left.shift() ?? 0.1)
  const results = Array.from({ length: 10 }, () => run(ask(bodyOf(1))) !== undefined)
  expect(results.filter(Boolean)).toHaveLength(answered)
  expect(lane.closed).toMatch(/^a run took \d+ ms, too long/)
})

test('two long runs, as a collection of garbage may make them, do not close it', () => {
  const left = [6, 0.1, 6]
  const { run } = laneOf(() => left.shift() ?? 0.1)
  for (let turn = 0; turn < 50; turn += 1) expect(run(ask(bodyOf(1)))).toBeDefined()
})

test('runs that only waited for a core do not close it: a throttled pod would never have it again', () => {
  const { lane, run } = laneOf(() => 0.1, { waits: () => 80 })
  for (let turn = 0; turn < 50; turn += 1) expect(run(ask(bodyOf(1)))).toBeDefined()
  expect(lane.closed).toBeUndefined()
})

describe('those that arrive together', () => {
  test('share a run, and each gets its own rows', () => {
    const { lane, ran } = laneOf()
    const bodies = [bodyOf(2, { id: 'a' }), bodyOf(1, { id: 'b' }), Uint8Array.from(Buffer.from('{')), bodyOf(9)]
    const { results, worked } = lane.run(bodies.map((body) => ask(body)))
    const texts = results.map((result) => (result?.ok === true ? Buffer.from(result.body).toString() : result?.ok))
    expect(texts.map((text) => (typeof text === 'string' ? (JSON.parse(text) as object) : text))).toMatchObject([
      { id: 'a', outputs: [{ data: [0, 2, 4, 6] }] },
      { id: 'b', outputs: [{ data: [0, 2] }] },
      false,
      undefined,
    ])
    expect(ran).toEqual([6])
    expect(worked).toMatchObject([
      { batchSize: 0, runMs: 0 },
      { batchSize: 2, runMs: 0.05 },
    ])
  })

  test('are no more than take a moment one by one', () => {
    expect(laneOf().lane.room(100)).toBe(32)
    expect(laneOf(undefined, { runMs: 0.2 }).lane.room(100)).toBe(5)
  })

  test('are run one by one where the self-test has switched batches off', () => {
    const { turn, ran } = laneOf(() => 0.01, { maxBatch: 1 })
    expect(turn(3)).toBe(3)
    expect(ran).toEqual([2, 2, 2])
  })

  test('are left to the workers as soon as the turn has taken too long', () => {
    const { turn, ran } = laneOf(() => 1, { maxBatch: 1 })
    // 0.1 ms and 0.03 for each are allowed.
    expect(turn(32)).toBe(2)
    expect(ran).toHaveLength(2)
  })

  /** After so many turns nothing is cold. */
  const warm = (turn: (count: number) => number): void => {
    for (let turns = 0; turns < 100; turns += 1) expect(turn(32)).toBe(32)
  }

  test('are left to the workers when a model turns slower: at once, and then all but one turn in 256', () => {
    let rowMs = 0.01
    const { turn, spent, ran } = laneOf((rows) => rows * rowMs)
    warm(turn)
    rowMs = 0.1
    const [before, runs] = [spent(), ran.length]
    const taken = Array.from({ length: 10_000 }, () => turn(32))
    expect(taken.slice(0, 20).map(Boolean)).toEqual([
      ...Array<boolean>(3).fill(true),
      ...Array<boolean>(16).fill(false),
      true,
    ])
    // 3 turns, 5 while the rest grows from 16 to 256, and one in 257 afterwards.
    expect(ran.length - runs).toBeLessThanOrEqual(3 + 5 + Math.ceil(10_000 / 257))
    expect(spent() - before).toBeLessThanOrEqual((ran.length - runs) * 32 * rowMs + 1e-6)
  })

  test('are taken again when it is as quick as before', () => {
    let rowMs = 0.01
    const { turn } = laneOf((rows) => rows * rowMs)
    warm(turn)
    rowMs = 0.1
    for (let turns = 0; turns < 10_000; turns += 1) turn(32)
    rowMs = 0.01
    const taken = Array.from({ length: 1000 }, () => turn(32))
    expect(taken.filter(Boolean).length).toBeGreaterThanOrEqual(1000 - 256)
    expect(taken.slice(-700)).toEqual(Array(700).fill(32))
  })

  test('stay here when a turn is long now and then, as others on the machine may make it', () => {
    let turns = 0
    const { turn } = laneOf((rows) => (turns % 3 === 0 ? 4 : rows * 0.01))
    for (turns = 0; turns < 1000; turns += 1) expect(turn(32)).toBe(32)
  })

  test('stay here when every turn is long because others have the core', () => {
    const { turn } = laneOf((rows) => rows * 0.01, { waits: () => 4 })
    for (let turns = 0; turns < 1000; turns += 1) expect(turn(32)).toBe(32)
  })

  test('do not keep the lane open: a run that is far too long closes it whoever shares it', () => {
    const { lane, turn } = laneOf(() => 60)
    expect([turn(32), turn(32), turn(1)]).toEqual([32, 0, 0])
    expect(lane.closed).toMatch(/^a run took 60 ms/)
  })
})
