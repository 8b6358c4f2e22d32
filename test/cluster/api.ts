// The few requests that the cluster tool itself makes to its API server, as administrator.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { keyPair } from './certificates.ts'

export interface ApiAnswer {
  readonly status: number
  readonly text: string
}

/** A client of one cluster's API server. Close it when done. */
export class ApiClient {
  readonly #agent: Agent
  readonly #server: string

  constructor(dir: string, server: string) {
    const admin = keyPair(dir, 'admin')
    this.#server = server
    this.#agent = new Agent({
      connect: {
        ca: readFileSync(keyPair(dir, 'ca').certificate),
        cert: readFileSync(admin.certificate),
        key: readFileSync(admin.key),
        timeout: 2000,
      },
      headersTimeout: 10_000,
      bodyTimeout: 10_000,
    })
  }

  /** One request. Throws only when there is no answer at all. */
  async send(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<ApiAnswer> {
    const answer = await request(`${this.#server}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { 'content-type': method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: answer.statusCode, text: await answer.body.text() }
  }

  /** Server-side apply of one object at its path. Throws with the server's own words when refused. */
  async apply(path: string, object: object): Promise<void> {
    const answer = await this.send('PATCH', `${path}?fieldManager=slipway-test-cluster&force=true`, object)
    if (answer.status >= 300) throw new Error(`the API server refused ${path} (${answer.status}): ${answer.text}`)
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

/**
 * Asks until the answer pleases.
 * @param failed says why waiting is pointless, such as a daemon that ended
 * @throws with `what` and the last thing seen when `timeoutMs` passes or `failed` says so
 */
export async function waitUntil(
  what: string,
  isSo: () => Promise<boolean | string>,
  { timeoutMs = 120_000, failed = () => undefined }: { timeoutMs?: number; failed?: () => string | undefined } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  let last = ''
  for (;;) {
    const seen = await isSo().catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
    if (seen === true) return
    if (typeof seen === 'string') last = seen
    const why = failed()
    if (why) throw new Error(`${what}: ${why}`)
    if (performance.now() > deadline) throw new Error(`${what}: not so after ${timeoutMs / 1000} s; last seen: ${last}`)
    await sleep(100)
  }
}
