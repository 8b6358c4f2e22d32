// What a raw tensor of 602 KB costs over gRPC, in CPU time of the server, beside grpc-js with proto-loader on the same
// model: `npm run bench:runtime -- --parts grpc`. Rounds alternate, and the ratio is taken within a round.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import grpc from '@grpc/grpc-js'
import { ModelInferRequest, ModelInferResponse } from '../../runtime/grpc/api/inference.ts'
import { decode, encode } from '../../runtime/grpc/protobuf/message.ts'
import { identityModel } from '../../test/fixtures/onnx.ts'
import { startServer } from '../../test/fixtures/runtime.ts'
import { inWords, type Sample } from './measure.ts'
import { cpuUs, memoryMib } from './processes.ts'

/** Calls at once; each waits for its answer. */
const concurrency = 4

interface Contender {
  readonly name: 'slipway' | 'proto-loader'
  readonly pid: number
  readonly address: string
  readonly stop: () => Promise<void>
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

async function measure({ name, pid, address }: Contender, round: number, requests: number): Promise<Sample> {
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
  const used = (cpuUs(pid) - cpuBefore) / requests
  close()
  const notMeasured = { failures: 0, p50: NaN, p99: NaN, max: NaN, worstLiveMs: NaN }
  return {
    part: 'grpc',
    subject: name,
    model: 'identity',
    form: 'grpc',
    connections: concurrency,
    round,
    answers: requests,
    rps: requests / seconds,
    cpuUs: used,
    memoryMib: memoryMib(pid),
    ...notMeasured,
  }
}

/** @param requests in each round, of each server */
export async function grpcSamples(
  rounds: number,
  requests: number,
  report: (line: string) => void,
): Promise<readonly Sample[]> {
  const contenders = [await startOurs(), await startPeer()]
  const samples: Sample[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      // Who goes first alternates, because a machine warms up or slows down within a round.
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        // oxlint-disable-next-line no-await-in-loop -- one after another, or they would disturb each other
        const sample = await measure(contender, round, requests)
        samples.push(sample)
        report(`grpc ${round + 1}/${rounds}: ${inWords(sample)}`)
      }
    }
  } finally {
    await Promise.all(contenders.map(({ stop }) => stop()))
  }
  return samples
}
