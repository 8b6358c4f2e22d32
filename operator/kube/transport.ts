// HTTP to one API server: HTTP/1.1 in pools for calls, for watches and for the lease, a deadline on each call, fresh
// credentials, Retry-After, metrics. It must never send a write that the fence refuses.
import { Readable } from 'node:stream'
import { Agent, request as send } from 'undici'
import { Registry } from 'prom-client'
import type { Credentials, TlsMaterial } from './credentials.ts'
import { Deadline } from './deadline.ts'
import { sleep } from './delay.ts'
import { ConnectionError, FencedError, StatusError, type Asked, type StatusBody } from './errors.ts'
import { kubeMetrics, type KubeMetrics } from './metrics.ts'
import { parseRetryAfter } from './retryafter.ts'

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  readonly body?: unknown
  readonly contentType?: string
  /** What is asked, for messages. */
  readonly asked: Asked
  readonly signal?: AbortSignal | undefined
  /** For the whole call; 30 s unless given. */
  readonly timeoutMs?: number | undefined
  /** Not in the pool of the other calls, where it would wait for its turn behind those that hang. */
  readonly apart?: boolean
  /** The lease's own writes pass the fence, and what does no harm when every replica does it. */
  readonly unfenced?: boolean
}

export interface ApiAnswer {
  readonly status: number
  readonly text: string
}

export interface TransportOptions {
  readonly credentials: Credentials
  readonly registry?: Registry
  /** Connections for calls; watches and the lease have their own. */
  readonly connections?: number
  readonly timeoutMs?: number
  readonly userAgent?: string
}

/** Why a write must not be sent now, or undefined when it may. */
export type Fence = () => string | undefined

/** Retries of one call that the server asked us to repeat later. After that the caller's own backoff takes over. */
const maxRetries = 4
/** A longer Retry-After is handed to the caller, whose queue can do something else meanwhile. */
const maxRetryAfterMs = 10_000
/** The API server closes idle connections after 90 s; ours must go first, or a call meets a closed one. */
const keepAliveMs = 60_000
/** For what goes apart: a try that hangs and the next one. */
const apartConnections = 2

const pools = ['calls', 'apart', 'watches'] as const
type Pool = (typeof pools)[number]
type Pools = Readonly<Record<Pool, Agent>>

export class Transport {
  readonly #credentials: Credentials
  readonly #metrics: KubeMetrics
  readonly #connections: number
  readonly #timeoutMs: number
  readonly #userAgent: string
  readonly #host: string
  #fence: Fence | undefined
  #agents: ({ readonly tls: TlsMaterial } & Pools) | undefined
  #retired: Promise<unknown>[] = []

  constructor({ credentials, registry, connections, timeoutMs, userAgent }: TransportOptions) {
    this.#credentials = credentials
    this.#metrics = kubeMetrics(registry ?? new Registry())
    this.#connections = connections ?? 16
    this.#timeoutMs = timeoutMs ?? 30_000
    this.#userAgent = userAgent ?? 'slipway'
    this.#host = new URL(credentials.server).host
  }

  /** From now on each write asks this first; the lease sets it. Reads are never fenced. */
  setFence(fence: Fence | undefined): void {
    this.#fence = fence
  }

  /**
   * One call, answered whole.
   * @throws StatusError when the server refuses, ConnectionError when no answer came, FencedError when a write may not be sent
   */
  async call(request: ApiRequest): Promise<ApiAnswer> {
    // One deadline for all tries: a leader that renews its lease must not sleep through the end of it.
    const endsAt = performance.now() + (request.timeoutMs ?? this.#timeoutMs)
    const leftMs = (): number => Math.max(1, Math.round(endsAt - performance.now()))
    for (let retries = 0; ; retries += 1) {
      try {
        return await this.#callOnce(request, leftMs())
      } catch (error) {
        const waitMs = retryDelayMs(request, error, retries)
        if (waitMs === undefined || waitMs >= leftMs()) throw error
        this.#metrics.retries.inc({ code: codeLabel(error), verb: request.asked.verb, host: this.#host })
        await sleep(waitMs, request.signal)
        request.signal?.throwIfAborted()
      }
    }
  }

  /**
   * A call whose answer is read as it comes; only its headers have a deadline. The caller reads or destroys the body.
   * @throws as `call`
   */
  async stream(request: ApiRequest): Promise<Readable> {
    const deadline = new Deadline(request.asked, request.timeoutMs ?? this.#timeoutMs, request.signal)
    try {
      const { status, headers, body } = await this.#open(request, deadline, 'watches')
      if (status < 300) {
        deadline.disarm(body)
        return body
      }
      throw statusError(status, headers, await body.text(), request.asked)
    } catch (error) {
      deadline.dispose()
      throw deadline.explain(error)
    }
  }

  /** Ends all connections; calls under way fail. */
  async close(): Promise<void> {
    const agents = this.#agents
    this.#agents = undefined
    await Promise.allSettled([...pools.map((pool) => agents?.[pool].destroy()), ...this.#retired])
  }

  async #callOnce(request: ApiRequest, timeoutMs: number): Promise<ApiAnswer> {
    const deadline = new Deadline(request.asked, timeoutMs, request.signal)
    try {
      const { status, headers, body } = await this.#open(request, deadline, request.apart === true ? 'apart' : 'calls')
      const text = await body.text()
      if (status >= 300) throw statusError(status, headers, text, request.asked)
      return { status, text }
    } catch (error) {
      throw deadline.explain(error)
    } finally {
      deadline.dispose()
    }
  }

  /** Sends and waits for the headers; a 401 is answered with fresh credentials, once. */
  async #open(request: ApiRequest, deadline: Deadline, pool: Pool) {
    const answer = await this.#send(request, deadline, pool)
    if (answer.status !== 401) return answer
    await answer.body.dump()
    await deadline.within(this.#credentials.refresh())
    return this.#send(request, deadline, pool)
  }

  async #send(request: ApiRequest, deadline: Deadline, pool: Pool) {
    const { headers, tls } = await deadline.within(this.#credentials.current())
    this.#check(request)
    const labels = { method: request.method, host: this.#host }
    const stop = this.#metrics.requestSeconds.startTimer({ verb: request.asked.verb, host: this.#host })
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body))
    try {
      const answer = await send(`${this.#credentials.server}${request.path}${queryOf(request)}`, {
        dispatcher: this.#agentsFor(tls)[pool],
        method: request.method,
        headers: {
          accept: 'application/json',
          'user-agent': this.#userAgent,
          ...headers,
          ...(body && {
            'content-type': request.contentType ?? 'application/json',
            'content-length': `${body.length}`,
          }),
        },
        // The generator runs when a connection is ready to take the bytes: a process that was frozen between the
        // check above and that moment is still stopped.
        body: body === undefined ? null : Readable.from(this.#checked(request, body), { objectMode: false }),
        signal: deadline.signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      })
      this.#metrics.requests.inc({ ...labels, code: answer.statusCode })
      return { status: answer.statusCode, headers: answer.headers, body: answer.body }
    } catch (error) {
      this.#metrics.requests.inc({ ...labels, code: '<error>' })
      throw error
    } finally {
      stop()
    }
  }

  *#checked(request: ApiRequest, body: Buffer): Generator<Buffer> {
    this.#check(request)
    yield body
  }

  #check({ method, unfenced, asked }: ApiRequest): void {
    if (method === 'GET' || unfenced === true) return
    const refusal = this.#fence?.()
    if (refusal === undefined) return
    this.#metrics.fencedWrites.inc()
    throw new FencedError(`${asked.verb} ${asked.resource} ${asked.name ?? ''} was not sent: ${refusal}`)
  }

  #agentsFor(tls: TlsMaterial): Pools {
    if (this.#agents?.tls === tls) return this.#agents
    const old = this.#agents
    // Closing lets calls and watches under way end by themselves on the old connections.
    if (old !== undefined) this.#retired = pools.map((pool) => old[pool].close())
    const options = {
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      connect: { ...tls, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 15_000 },
    }
    this.#agents = {
      tls,
      calls: new Agent({ ...options, connections: this.#connections }),
      apart: new Agent({ ...options, connections: apartConnections }),
      watches: new Agent({ ...options, bodyTimeout: 0 }),
    }
    return this.#agents
  }
}

/** How long to wait before the same call is sent again, or undefined when it is not. */
const retryDelayMs = (request: ApiRequest, error: unknown, retries: number): number | undefined => {
  // A pooled connection may have been closed by the server just as we used it. A read is simply sent again, once.
  if (error instanceof ConnectionError) {
    return request.method === 'GET' && retries === 0 && resets.has(error.code) ? 0 : undefined
  }
  if (!(error instanceof StatusError) || error.code !== 429 || request.method === 'POST') return undefined
  const waitMs = error.retryAfterMs ?? Infinity
  return retries < maxRetries && waitMs <= maxRetryAfterMs ? waitMs * (1 + Math.random() / 4) : undefined
}

const resets = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

const codeLabel = (error: unknown): string => (error instanceof StatusError ? String(error.code) : '<error>')

const queryOf = ({ query }: ApiRequest): string => {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) parameters.set(name, String(value))
  const text = parameters.toString()
  return text === '' ? '' : `?${text}`
}

const statusError = (
  status: number,
  headers: Record<string, string | string[] | undefined>,
  text: string,
  asked: Asked,
): StatusError => {
  const retryAfter = headers['retry-after']
  const retryAfterMs = typeof retryAfter === 'string' ? parseRetryAfter(retryAfter, Date.now()) : undefined
  return new StatusError(status, parseStatus(text), asked, retryAfterMs)
}

/** A proxy on the way answers in its own words; they go into the message. */
const parseStatus = (text: string): StatusBody => {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null ? body : { message: text.slice(0, 300) }
  } catch {
    return { message: text.slice(0, 300) }
  }
}
