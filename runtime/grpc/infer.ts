/**
 * The hot path over gRPC: one ModelInferRequest from its bytes to the bytes of its answer, alone or on a stream.
 * It must answer exactly once, release what it reserved, and leave the queue when its client is gone or its time is up.
 */
import { once } from 'node:events'
import { status, type Metadata, type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js'
import { Fault, reportOf, type FaultReport } from '../errors.ts'
import type { Metrics } from '../metrics.ts'
import type { Models } from '../models.ts'
import type { Observer } from '../observer.ts'
import { requestHead } from '../protocols/oip-grpc-request.ts'
import type { Settled } from '../scheduling/scheduler.ts'
import type { LiveVersion } from '../version.ts'
import { ModelStreamInferResponse } from './api/inference.ts'
import type { Answers } from './answers.ts'
import { copiedOnce } from './pieces.ts'
import { encode } from './protobuf/message.ts'
import { wireType } from './protobuf/reader.ts'
import { ProtoWriter } from './protobuf/writer.ts'

export interface Inference {
  readonly models: Models
  readonly metrics: Metrics
  readonly observer: Observer
  readonly answers: Answers
  /** Called with a failure that is a bug, not a user's mistake. */
  readonly onBug: (error: unknown) => void
}

/** What is used of a call of any kind: how long it may take, and that its client went away. */
interface Caller {
  readonly metadata: Metadata
  getPath(): string
  getDeadline(): Date | number
  on(event: 'cancelled', listener: () => void): unknown
  off(event: 'cancelled', listener: () => void): unknown
  readonly cancelled: boolean
}

/** What became of a request: its answer, its failure, or nobody is left to tell. */
type Result =
  | { readonly ok: true; readonly body: Buffer<ArrayBuffer> }
  | { readonly ok: false; readonly fault: FaultReport }
  | 'gone'

/** ModelInfer. */
export async function infer(
  call: ServerUnaryCall<Buffer, Buffer>,
  callback: sendUnaryData<Buffer>,
  context: Inference,
): Promise<void> {
  const result = await answer(call, call.request as Buffer<ArrayBuffer>, context)
  if (result === 'gone') return
  if (!result.ok) return callback(context.answers.failure(call, result.fault))
  context.answers.begin(call)
  return callback(null, result.body)
}

/**
 * ModelStreamInfer: requests one after another, each answered before the next is read, in their order. A failed one is
 * told by its answer, and the stream goes on.
 * @param open the streams to end when the server goes; an idle one would keep it waiting for ever
 */
export async function streamInfer(
  call: ServerDuplexStream<Buffer, Buffer>,
  open: Set<() => void>,
  context: Inference,
): Promise<void> {
  let idle = true
  let ending = false
  const finish = (): void =>
    void call.emit('error', { code: status.UNAVAILABLE, details: 'the server is shutting down' })
  const end = (): void => {
    ending = true
    if (idle) finish()
  }
  open.add(end)
  context.answers.begin(call)
  try {
    for await (const message of call as AsyncIterable<Buffer<ArrayBuffer>>) {
      idle = false
      const result = await answer(call, message, context)
      if (result === 'gone') return
      const flows = call.write(
        result.ok ? streamed(result.body) : encode(ModelStreamInferResponse, { error_message: result.fault.message }),
      )
      // Who does not read its answers gets no further ones: they would pile up here.
      if (!flows) await drained(call)
      idle = true
      if (ending) return finish()
    }
    call.end()
  } catch (error) {
    // Reading breaks off when the client goes; everything else is a bug.
    if (!call.cancelled && !ending) context.onBug(error)
  } finally {
    open.delete(end)
  }
}

/** Until the client has read, or is gone. */
async function drained(call: ServerDuplexStream<Buffer, Buffer>): Promise<void> {
  const stop = new AbortController()
  try {
    await Promise.race(['drain', 'cancelled'].map((event) => once(call, event, { signal: stop.signal })))
  } finally {
    stop.abort()
  }
}

async function answer(call: Caller, message: Buffer<ArrayBuffer>, context: Inference): Promise<Result> {
  const { metrics, observer, onBug } = context
  const startedMs = performance.now()
  const known: Known = { settled: undefined, served: undefined }
  let result: Result
  try {
    result = await compute(call, message, context, known)
  } catch (error) {
    if (!(error instanceof Fault)) onBug(error)
    result = { ok: false, fault: reportOf(error) }
  }
  const httpStatus = statusFor(result, call)
  metrics.request(httpStatus, performance.now() - startedMs)
  observer.finished({
    method: 'POST',
    path: call.getPath(),
    status: httpStatus,
    startedMs,
    traceparent: textOf(call.metadata, 'traceparent'),
    userAgent: textOf(call.metadata, 'user-agent'),
    settled: known.settled,
    version: known.served?.version,
  })
  return result
}

/** What became known of a request while it was computed. */
interface Known {
  settled: Settled | undefined
  served: LiveVersion | undefined
}

function statusFor(result: Result, call: Caller): number {
  if (result !== 'gone') return result.ok ? 200 : result.fault.status
  return Date.now() + earlyMs >= Number(call.getDeadline()) ? 504 : clientGoneStatus
}

function textOf(metadata: Metadata, name: string): string | undefined {
  const [value] = metadata.get(name)
  return typeof value === 'string' ? value : undefined
}

/**
 * A client's deadline began before its call arrived here, so it may give up a little before ours, by cancelling: 6 of 20
 * calls with a deadline of 150 ms did on a busy machine.
 */
const earlyMs = 100

/** What HTTP servers conventionally log for a request whose client went away. */
const clientGoneStatus = 499

/** @throws Fault for a request that is refused before it is queued */
async function compute(
  call: Caller,
  message: Buffer<ArrayBuffer>,
  { models, metrics }: Inference,
  known: Known,
): Promise<Result> {
  const { name, version, urgency } = requestHead(message)
  const served = models.find(name, version)
  if (served instanceof Fault) throw served
  const early = served.notReady()
  if (early !== undefined) throw early
  known.served = served
  const { scheduler, statistics } = served
  const bytes = message.byteLength
  const full = scheduler.reserve(bytes)
  if (full !== undefined) throw full
  try {
    const job = served.submit({ codec: 'oip-grpc', options: {} }, ownBytes(message), urgency)
    const outcome = await orGone(call, job.settled)
    if (outcome === 'gone') {
      job.cancel()
      statistics.canceled()
      return 'gone'
    }
    known.settled = outcome
    metrics.inference(outcome)
    statistics.record(outcome)
    if (!outcome.ok) return { ok: false, fault: outcome.fault }
    const { buffer, byteOffset, byteLength } = outcome.body
    const body = Buffer.from(buffer, byteOffset, byteLength)
    return { ok: true, body: outcome.recalled === true ? body : copiedOnce(body) }
  } finally {
    scheduler.release(bytes)
  }
}

/** The result, or `gone` when the client cancels or its deadline passes first; grpc-js tells both alike. */
function orGone<T>(call: Caller, settled: Promise<T>): Promise<T | 'gone'> {
  return new Promise((resolve, reject) => {
    const gone = (): void => resolve('gone')
    if (call.cancelled) return gone()
    call.on('cancelled', gone)
    settled.then(resolve, reject).finally(() => call.off('cancelled', gone))
  })
}

/**
 * The message in memory of its own, which can be transferred to another thread. A large one has it already, behind the
 * five bytes of its frame; a small one lies in Node's pool.
 */
function ownBytes(message: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = message
  const alone = byteOffset <= frameBytes && byteOffset + byteLength === buffer.byteLength
  if (alone && byteLength > Buffer.poolSize) return new Uint8Array(buffer, byteOffset, byteLength)
  return new Uint8Array(message)
}

/** Whether it is compressed, and its length. */
const frameBytes = 5

/** A ModelStreamInferResponse around an answer. */
function streamed(body: Uint8Array): Buffer {
  const head = new ProtoWriter(8).tag(2, wireType.bytes).uint32(body.byteLength).finish()
  return Buffer.concat([head, body])
}
