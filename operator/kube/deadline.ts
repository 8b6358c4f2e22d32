// The abort signal of one call: the caller's own, or the deadline, whichever comes first; and which of them it was.
import type { Readable } from 'node:stream'
import { codeOf, ConnectionError, FencedError, StatusError, type Asked } from './errors.ts'

export class Deadline {
  readonly #abort = new AbortController()
  readonly #asked: Asked
  readonly #caller: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout
  #expired = false

  constructor(asked: Asked, ms: number, caller: AbortSignal | undefined) {
    this.#asked = asked
    this.#caller = caller
    this.#timer = setTimeout(() => {
      this.#expired = true
      this.#abort.abort(new Error(`no answer within ${ms} ms`))
    }, ms)
    if (caller?.aborted === true) this.#cancel()
    caller?.addEventListener('abort', this.#cancel, { once: true })
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** What a promise that knows no signal comes to, unless this ends first. */
  async within<T>(promise: Promise<T>): Promise<T> {
    const ended = Promise.withResolvers<never>()
    const end = (): void => ended.reject(this.signal.reason)
    if (this.signal.aborted) end()
    this.signal.addEventListener('abort', end, { once: true })
    try {
      return await Promise.race([promise, ended.promise])
    } finally {
      this.signal.removeEventListener('abort', end)
    }
  }

  /** The headers came: from here on only the caller ends the stream. */
  disarm(body: Readable): void {
    clearTimeout(this.#timer)
    body.once('close', () => this.dispose())
  }

  dispose(): void {
    clearTimeout(this.#timer)
    this.#caller?.removeEventListener('abort', this.#cancel)
  }

  /** The error as our callers know it. */
  explain(error: unknown): unknown {
    if (error instanceof StatusError || error instanceof FencedError) return error
    if (this.#expired) return new ConnectionError('Timeout', this.#asked, this.#abort.signal.reason)
    if (this.#caller?.aborted === true) return this.#caller.reason
    return new ConnectionError(codeOf(error), this.#asked, error)
  }

  readonly #cancel = (): void => this.#abort.abort(this.#caller?.reason)
}
