// Asks one router pod how it stands: GET /state of its agent, with a deadline and a size limit. It never throws for what
// a router does wrong: the answer then says so.
import { Agent, request } from 'undici'
import { codeOf } from '../kube/errors.ts'
import { agentPort, type ModelTraffic, type RouterState } from '../api/routerstate.ts'
import type { Answer } from './answers.ts'

/** A router pod as its EndpointSlice lists it. */
export interface RouterEndpoint {
  /** The pod's name. */
  readonly name: string
  /** IPv4 or IPv6. */
  readonly address: string
  readonly ready: boolean
  readonly terminating: boolean
}

export interface AskerOptions {
  /** For the whole answer; 2 s unless given. */
  readonly timeoutMs?: number
  /** 64 MiB unless given: some 10,000 models. */
  readonly maxBytes?: number
}

/** Asks routers, each time on a connection of its own: on a kept one a restarted agent looks like a silent router. */
export class Asker {
  readonly #agent = new Agent({ pipelining: 0 })
  readonly #timeoutMs: number
  readonly #maxBytes: number

  constructor({ timeoutMs = 2000, maxBytes = 64 * 1024 * 1024 }: AskerOptions = {}) {
    this.#timeoutMs = timeoutMs
    this.#maxBytes = maxBytes
  }

  async ask(endpoint: RouterEndpoint): Promise<Omit<Answer, 'hasServed'>> {
    const { name: router, ready, terminating } = endpoint
    const deadline = AbortSignal.timeout(this.#timeoutMs)
    try {
      return { router, ready, terminating, state: await this.#state(endpoint, deadline) }
    } catch (error) {
      const why = deadline.aborted ? `no answer within ${this.#timeoutMs} ms` : inWords(error)
      return { router, ready, terminating, error: why }
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }

  async #state({ name, address }: RouterEndpoint, signal: AbortSignal): Promise<RouterState> {
    const host = address.includes(':') ? `[${address}]` : address
    const { statusCode, body } = await request(`http://${host}:${agentPort}/state`, {
      dispatcher: this.#agent,
      signal,
      // An address may have passed to another pod by now: who is meant, and who answers, are compared by name.
      headers: { host: name, accept: 'application/json' },
    })
    let text = ''
    body.setEncoding('utf8')
    for await (const chunk of body) {
      text += String(chunk)
      if (text.length > this.#maxBytes) throw new Error(`it answered more than ${this.#maxBytes} bytes`)
    }
    if (statusCode !== 200) throw new Error(`it answered ${statusCode}: ${text.slice(0, 200)}`)
    const state: unknown = JSON.parse(text)
    if (!isRouterState(state)) throw new Error('its answer is not the state of a router; is it of another release?')
    if (state.router !== name) throw new Error(`${state.router} answers under its address ${address}`)
    return lean(state)
  }
}

/** What nobody here reads is not kept: with thousands of models the latencies are most of what a router says. */
const lean = (state: RouterState): RouterState => ({
  ...state,
  models: state.models.map(({ shadow: _shadow, ...model }) => ({
    ...model,
    revisions: model.revisions.map((revision) => ({ ...revision, latency: [] })),
  })),
})

const inWords = (error: unknown): string => {
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  return code === 'ConnectionFailed' || message.includes(code) ? message : `${code} ${message}`.trim()
}

/** The fields that are used later are there; what a newer router says besides is passed over. */
const isRouterState = (value: unknown): value is RouterState =>
  isRecord(value) &&
  typeof value['router'] === 'string' &&
  typeof value['bootId'] === 'string' &&
  Array.isArray(value['models']) &&
  value['models'].every(isModel)

const isModel = (value: unknown): value is ModelTraffic =>
  isRecord(value) &&
  typeof value['uid'] === 'string' &&
  (value['appliedEpoch'] === undefined || isCount(value['appliedEpoch'])) &&
  (value['applied'] === undefined || areShares(value['applied'])) &&
  Array.isArray(value['emptied']) &&
  Array.isArray(value['revisions']) &&
  value['revisions'].every(isRevision)

const areShares = (value: unknown): boolean =>
  isRecord(value) &&
  isRecord(value['weights']) &&
  Object.values(value['weights']).every(isCount) &&
  (value['mirror'] === undefined || typeof value['mirror'] === 'string')

const isRevision = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['revision'] === 'string' &&
  isCount(value['weight']) &&
  isRecord(value['requests']) &&
  isCount(value['requests']['completed']) &&
  isCount(value['requests']['s5xx']) &&
  isRecord(value['grpc']) &&
  isCount(value['grpc']['failure'])

const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value >= 0

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
