// A bounded gRPC client: unary calls at a constant rate, and streams of ModelStreamInfer one after the other, each some
// messages long. It must count everything it sends: what is neither answered nor failed is a defect of this client.
import { setTimeout as sleep } from 'node:timers/promises'
import * as grpc from '@grpc/grpc-js'
import { ModelInferResponse, ModelStreamInferResponse } from '../../runtime/grpc/api/inference.ts'
import { decode } from '../../runtime/grpc/protobuf/message.ts'

export interface GrpcStreamOptions {
  /** `host:port`. */
  readonly address: string
  /** A ModelInferRequest, encoded. */
  readonly request: Buffer
  /** Unary calls a second, however long answers take. */
  readonly rate: number
  readonly seconds: number
  /** Messages of a stream, each sent after the answer to the one before. */
  readonly messages: number
  /** Between an answer on a stream and the next message. */
  readonly pauseMs: number
  readonly timeoutMs: number
  /** Called for the first answer, and whenever an answer's version differs from the one before. */
  readonly onChange?: (version: string, of: 'calls' | 'streams') => void
}

/** What one kind of call came to. */
export interface Counted {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  /** Good answers by the version that they name. */
  readonly byVersion: Readonly<Record<string, number>>
  /** The first failures. */
  readonly failures: readonly { readonly at: string; readonly error: string }[]
}

export interface GrpcSummary {
  readonly unary: Counted
  /** Whole streams: one counts as good when each of its messages was answered and it ended with OK. */
  readonly streams: Counted
  /** Their messages. */
  readonly messages: Counted
}

export interface GrpcStream {
  /** Begins nothing new; what is under way is still waited for. */
  stop(): void
  readonly done: Promise<GrpcSummary>
}

const path = '/inference.GRPCInferenceService/'
const maxFailuresKept = 50
const asIs = (bytes: Buffer): Buffer => bytes

/** Starts to send at once, on two connections: one for the unary calls, one for the streams. */
export const startGrpcStream = (options: GrpcStreamOptions): GrpcStream => {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), options.seconds * 1000)
  const { onChange } = options
  const all = {
    unary: new Counter((version) => onChange?.(version, 'calls')),
    streams: new Counter(),
    messages: new Counter((version) => onChange?.(version, 'streams')),
  }
  const done = Promise.all([callSteadily(options, all.unary, stop.signal), streamAgain(options, all, stop.signal)])
  return {
    stop: () => stop.abort(),
    done: done.then(() => {
      clearTimeout(timer)
      return { unary: all.unary.counted, streams: all.streams.counted, messages: all.messages.counted }
    }),
  }
}

class Counter {
  #sent = 0
  #failed = 0
  #lastVersion: string | undefined
  readonly #byVersion: Record<string, number> = {}
  readonly #failures: { at: string; error: string }[] = []
  readonly #onChange: ((version: string) => void) | undefined

  constructor(onChange?: (version: string) => void) {
    this.#onChange = onChange
  }

  sent(): void {
    this.#sent += 1
  }

  answered(version: string): void {
    this.#byVersion[version] = (this.#byVersion[version] ?? 0) + 1
    if (version !== this.#lastVersion) this.#onChange?.(version)
    this.#lastVersion = version
  }

  failed(error: string): void {
    this.#failed += 1
    if (this.#failures.length < maxFailuresKept) this.#failures.push({ at: new Date().toISOString(), error })
  }

  get counted(): Counted {
    const ok = Object.values(this.#byVersion).reduce((sum, n) => sum + n, 0)
    return { sent: this.#sent, ok, failed: this.#failed, byVersion: this.#byVersion, failures: this.#failures }
  }
}

const connect = (address: string): grpc.Client =>
  new grpc.Client(address, grpc.credentials.createInsecure(), {
    // Without it both would share one connection, and so one router.
    'grpc.use_local_subchannel_pool': 1,
    // No retries but the router's. A connection that has gone before a call has left is not one: grpc-js takes the next.
    'grpc.enable_retries': 0,
  })

const deadlineIn = (ms: number): { deadline: number } => ({ deadline: Date.now() + ms })

const callSteadily = async (
  { address, request, rate, timeoutMs }: GrpcStreamOptions,
  counter: Counter,
  signal: AbortSignal,
): Promise<void> => {
  const client = connect(address)
  const startedAt = performance.now()
  const underWay: Promise<void>[] = []
  for (let sent = 0; !signal.aborted; sent += 1) {
    underWay.push(call(client, request, timeoutMs, counter))
    const dueInMs = ((sent + 1) * 1000) / rate - (performance.now() - startedAt)
    await sleep(Math.max(0, dueInMs), undefined, { signal }).catch(() => {})
  }
  await Promise.all(underWay)
  client.close()
}

const call = (client: grpc.Client, request: Buffer, timeoutMs: number, counter: Counter): Promise<void> =>
  new Promise((resolve) => {
    counter.sent()
    client.makeUnaryRequest(
      `${path}ModelInfer`,
      asIs,
      asIs,
      request,
      new grpc.Metadata(),
      deadlineIn(timeoutMs),
      (error, body) => {
        if (error === null && body !== undefined) counter.answered(versionOf(body))
        else counter.failed(error === null ? 'an answer without a message' : `${error.code} ${error.details}`)
        resolve()
      },
    )
  })

const versionOf = (body: Buffer): string => decode(ModelInferResponse, Uint8Array.from(body)).model_version

const streamAgain = async (
  options: GrpcStreamOptions,
  counters: { readonly streams: Counter; readonly messages: Counter },
  signal: AbortSignal,
): Promise<void> => {
  const client = connect(options.address)
  while (!signal.aborted) {
    counters.streams.sent()
    const ended = await stream(client, options, counters.messages)
    if (ended.error === undefined) counters.streams.answered(ended.version)
    else counters.streams.failed(ended.error)
    // Who is refused at once does not ask a thousand times a second.
    if (ended.error !== undefined) await sleep(100)
  }
  client.close()
}

/** One stream from its first message to its status. */
const stream = (
  client: grpc.Client,
  { request, messages, pauseMs, timeoutMs }: GrpcStreamOptions,
  counter: Counter,
): Promise<{ version: string; error?: string }> =>
  new Promise((resolve) => {
    const call = client.makeBidiStreamRequest(
      `${path}ModelStreamInfer`,
      asIs,
      asIs,
      new grpc.Metadata(),
      deadlineIn(timeoutMs + messages * pauseMs),
    )
    let [sent, answered, isOver] = [0, 0, false]
    let version = ''
    const send = (): void => {
      if (isOver) return
      sent += 1
      counter.sent()
      call.write(request)
    }
    const finish = (error?: string): void => {
      if (isOver) return
      isOver = true
      // What was sent and not answered is lost, whatever the stream's status says.
      if (answered < sent) counter.failed(error ?? 'the stream ended without its answer')
      const early = answered < messages ? `ended with OK after ${answered} of ${messages} messages` : undefined
      const lost = error ?? early
      resolve({ version, ...(lost !== undefined && { error: lost }) })
    }
    call.on('data', (body: Buffer) => {
      const { error_message: refused, infer_response: answer } = decode(ModelStreamInferResponse, Uint8Array.from(body))
      if (answer === undefined) {
        finish(refused || 'an answer without a message')
        call.cancel()
        return
      }
      answered += 1
      version = answer.model_version ?? ''
      counter.answered(version)
      if (answered === messages) call.end()
      else setTimeout(send, pauseMs)
    })
    call.on('error', (error: Partial<grpc.ServiceError> & Error) => finish(error.message))
    call.on('status', ({ code }: grpc.StatusObject) => {
      if (code === grpc.status.OK) finish()
    })
    send()
  })
