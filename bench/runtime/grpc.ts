// npm run bench:grpc [-- --json FILE] [--quick]: what a raw tensor of 602 KB costs over gRPC, in CPU time of the server,
// beside grpc-js with proto-loader on the same model. Rounds alternate, and the ratio is taken within a round.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import grpc from '@grpc/grpc-js'
import { ModelInferRequest, ModelInferResponse } from '../../runtime/grpc/api/inference.ts'
import { decode, encode } from '../../runtime/grpc/protobuf/message.ts'
import { identityModel } from '../../test/fixtures/onnx.ts'
import { startServer } from '../../test/fixtures/runtime.ts'

const { values } = parseArgs({ options: { json: { type: 'string' }, quick: { type: 'boolean', default: false } } })
const rounds = values.quick ? 5 : 9
const requests = values.quick ? 100 : 400
/** Calls at once; each waits for its answer. */
const concurrency = 4

interface Contender {
  readonly name: 'slipway' | 'proto-loader'
  readonly pid: number
  readonly address: string
  readonly stop: () => Promise<void>
}

interface Sample {
  readonly contender: Contender['name']
  readonly round: number
  readonly cpuUsPerRequest: number
  readonly requestsPerSecond: number
}

const shape = [1, 3, 224, 224]
const tensor = new Uint8Array(Float32Array.from({ length: 3 * 224 * 224 }, (_, at) => Math.sin(at)).buffer)
/** A fixed batch of one: what is measured is the way of a tensor, not batching. */
const model = identityModel('FLOAT', shape)
const message = encode(ModelInferRequest, {
  model_name: 'm',
  inputs: [{ name: 'x', datatype: 'FP32', shape: shape.map(BigInt) }],
  raw_input_contents: [tensor],
})

async function startOurs(): Promise<Contender> {
  const server = await startServer(model)
  await server.ready()
  return { name: 'slipway', pid: server.pid, address: server.grpcAddress, stop: () => server.stop() }
}

async function startPeer(): Promise<Contender> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'))
  writeFileSync(join(folder, 'model.onnx'), model)
  const root = join(import.meta.dirname, '../..')
  const program = join(import.meta.dirname, 'grpcpeer.ts')
  const child = spawn(process.execPath, [program, join(folder, 'model.onnx'), join(root, 'docs/inference.proto')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return {
    name: 'proto-loader',
    pid: child.pid ?? 0,
    address: `127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'close')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The client sends bytes that are ready, so that its own work is small beside the server's. */
function caller(address: string): { call: () => Promise<Buffer>; close: () => void } {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': -1,
  })
  const same = (bytes: Buffer): Buffer => bytes
  const call = (): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest('/inference.GRPCInferenceService/ModelInfer', same, same, message, (error, answer) => {
        if (error !== null || answer === undefined) reject(error ?? new Error('no answer'))
        else resolve(answer)
      })
    })
  return { call, close: () => client.close() }
}

async function measure({ name, pid, address }: Contender, round: number): Promise<Sample> {
  const { call, close } = caller(address)
  const answer = decode(ModelInferResponse, Uint8Array.from(await call()))
  if (!Buffer.from(tensor).equals(answer.raw_output_contents[0] ?? Buffer.alloc(0))) {
    throw new Error(`${name} answers something else than the tensor that was sent`)
  }
  const lane = async (count: number): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- one at a time, on purpose
    for (let done = 0; done < count; done++) await call()
  }
  await lane(20)
  const cpuBefore = cpuUs(pid)
  const started = performance.now()
  await Promise.all(Array.from({ length: concurrency }, () => lane(requests / concurrency)))
  const seconds = (performance.now() - started) / 1000
  const cpuUsPerRequest = (cpuUs(pid) - cpuBefore) / requests
  close()
  return { contender: name, round, cpuUsPerRequest, requestsPerSecond: requests / seconds }
}

/** CPU time of a process and its children so far, in microseconds; Linux counts it in hundredths of a second. */
function cpuUs(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const own = (Number(fields[11]) + Number(fields[12])) * 10_000
  return children.reduce((sum, child) => sum + cpuUs(Number(child)), own)
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}

const contenders = [await startOurs(), await startPeer()]
const samples: Sample[] = []
for (let round = 0; round < rounds; round++) {
  // Who goes first alternates, because a machine warms up or slows down within a round.
  for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- one after another, or they would disturb each other
    const sample = await measure(contender, round)
    samples.push(sample)
    const { cpuUsPerRequest, requestsPerSecond } = sample
    console.error(
      `round ${round + 1}/${rounds}: ${contender.name} ${Math.round(cpuUsPerRequest)} µs of CPU a request, ${Math.round(requestsPerSecond)} requests/s`,
    )
  }
}
await Promise.all(contenders.map(({ stop }) => stop()))

const of = (name: Contender['name'], round: number): number =>
  samples.find((sample) => sample.contender === name && sample.round === round)?.cpuUsPerRequest ?? Number.NaN
const ratios = Array.from({ length: rounds }, (_, round) => of('slipway', round) / of('proto-loader', round))
const target = 0.5
const value = median(ratios)
const goal = {
  name: 'grpc_cpu_vs_protoloader',
  value,
  low: Math.min(...ratios),
  high: Math.max(...ratios),
  op: '<=',
  target,
  met: value <= target,
}
console.log('contender     CPU µs/request  requests/s   (medians)')
for (const { name } of contenders) {
  const own = samples.filter(({ contender }) => contender === name)
  const cpu = Math.round(median(own.map(({ cpuUsPerRequest }) => cpuUsPerRequest)))
  const rate = Math.round(median(own.map(({ requestsPerSecond }) => requestsPerSecond)))
  console.log(`${name.padEnd(12)}  ${String(cpu).padStart(14)}  ${String(rate).padStart(10)}`)
}
const two = (number: number): string => number.toFixed(2)
console.log(
  `${goal.name} ${two(value)} (${two(goal.low)} to ${two(goal.high)}), goal <= ${target}: ${goal.met ? 'met' : 'missed'}`,
)
if (values.json !== undefined) {
  const machine = { cpu: cpus()[0]?.model ?? '', cores: availableParallelism(), node: process.version }
  const setting = { requests, rounds, concurrency, tensorBytes: tensor.byteLength }
  writeFileSync(values.json, `${JSON.stringify({ machine, setting, samples, goals: [goal] }, null, 2)}\n`)
}
