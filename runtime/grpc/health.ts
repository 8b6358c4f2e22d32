/**
 * The health service: SERVING while /v2/health/ready answers 200. Watchers are told of every change, and at the end of
 * the server their streams end, because it waits for all of them.
 */
import { status, type sendUnaryData, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js'
import { reportOf } from '../errors.ts'
import type { ServerState } from '../state.ts'
import { HealthCheckRequest, HealthCheckResponse, servingStatus } from './api/health.ts'
import { serviceName } from './api/inference.ts'
import type { Answers } from './answers.ts'
import { decode, encode } from './protobuf/message.ts'

/** How often watchers' state is looked at; the pods' own probes ask as often. */
const lookMs = 500

export interface HealthContext {
  readonly state: ServerState
  readonly answers: Answers
  /** Whether a model of that name is served here. */
  readonly serves: (model: string) => boolean
}

export class HealthService {
  readonly #context: HealthContext
  /** What each open stream was told last. */
  readonly #watchers = new Map<ServerWritableStream<Buffer, Buffer>, { readonly service: string; told: number }>()
  #timer: NodeJS.Timeout | undefined

  constructor(context: HealthContext) {
    this.#context = context
  }

  check(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void {
    const { answers } = this.#context
    let service: string
    try {
      service = decode(HealthCheckRequest, call.request as Buffer<ArrayBuffer>).service
    } catch (error) {
      return callback(answers.failure(call, reportOf(error)))
    }
    const found = this.#statusOf(service)
    if (found === servingStatus.serviceUnknown) {
      const details = `there is no service ${service} here; ask for "", ${serviceName} or a model`
      return callback({ code: status.NOT_FOUND, details: details.slice(0, 500).toWellFormed() })
    }
    answers.begin(call)
    return callback(null, encode(HealthCheckResponse, { status: found }))
  }

  watch(call: ServerWritableStream<Buffer, Buffer>): void {
    const { answers } = this.#context
    let service: string
    try {
      service = decode(HealthCheckRequest, call.request as Buffer<ArrayBuffer>).service
    } catch (error) {
      call.emit('error', answers.failure(call, reportOf(error)))
      return
    }
    answers.begin(call)
    this.#watchers.set(call, { service, told: -1 })
    call.on('cancelled', () => this.#forget(call))
    this.#timer ??= setInterval(() => this.look(), lookMs).unref()
    this.look()
  }

  /** Tells watchers what has changed since they were told last. */
  look(): void {
    for (const [call, watcher] of this.#watchers) {
      const now = this.#statusOf(watcher.service)
      if (now === watcher.told) continue
      watcher.told = now
      call.write(encode(HealthCheckResponse, { status: now }))
    }
  }

  /** Ends every stream: the server is going. */
  end(): void {
    for (const call of this.#watchers.keys()) {
      this.#forget(call)
      call.emit('error', { code: status.UNAVAILABLE, details: 'the server is shutting down' })
    }
  }

  #forget(call: ServerWritableStream<Buffer, Buffer>): void {
    this.#watchers.delete(call)
    if (this.#watchers.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #statusOf(service: string): number {
    const { state, serves } = this.#context
    if (service !== '' && service !== serviceName && !serves(service)) return servingStatus.serviceUnknown
    return state.health().ready ? servingStatus.serving : servingStatus.notServing
  }
}
