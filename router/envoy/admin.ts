// Envoy's admin interface, over a Unix socket that only this pod can reach. Asks and tells; decides nothing.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'undici'
import { adminSocket } from '../xds/bootstrap.ts'
import {
  connectionsFilter,
  readTraffic,
  readWarming,
  sumOf,
  trafficFilter,
  warmingFilter,
  type Traffic,
} from './stats.ts'

/** Envoy did not answer: it starts, it is gone, or it hangs. */
export class EnvoyGone extends Error {
  override readonly name = 'EnvoyGone'
}

const deadlineMs = 5000

export class EnvoyAdmin {
  readonly #socket: string
  readonly #client: Client

  constructor(folder: string) {
    this.#socket = join(folder, adminSocket)
    this.#client = new Client('http://envoy', {
      socketPath: this.#socket,
      headersTimeout: deadlineMs,
      bodyTimeout: deadlineMs,
    })
  }

  /** @throws EnvoyGone */
  async isReady(): Promise<boolean> {
    return (await this.#send('GET', '/ready')).status === 200
  }

  /** Names of the clusters that do not serve yet. @throws EnvoyGone */
  async warming(): Promise<ReadonlySet<string>> {
    return readWarming((await this.#statistics(`filter=${encodeURIComponent(warmingFilter)}`)).body)
  }

  /** What was counted since the start of the Envoy with this boot id. @throws EnvoyGone */
  async traffic(): Promise<{ readonly bootId: string; readonly traffic: Traffic }> {
    const { bootId, body } = await this.#statistics(
      `usedonly&histogram_buckets=detailed&filter=${encodeURIComponent(trafficFilter)}`,
    )
    return { bootId, traffic: readTraffic(body) }
  }

  /** How many connections clients have open. @throws EnvoyGone */
  async connections(): Promise<number> {
    return sumOf((await this.#statistics(`filter=${encodeURIComponent(connectionsFilter)}`)).body)
  }

  /** Tells clients to leave: every answer ends its connection, and nothing is cut. @throws EnvoyGone */
  async drain(): Promise<void> {
    await this.#send('POST', '/healthcheck/fail')
    await this.#send('POST', '/drain_listeners?graceful&skip_exit')
  }

  async close(): Promise<void> {
    await this.#client.destroy()
  }

  /** Figures of one Envoy: when it was started again while it was asked, the other one is asked. */
  async #statistics(query: string): Promise<{ bootId: string; body: string }> {
    const bootId = await this.bootId()
    const { status, body } = await this.#send('GET', `/stats?format=json&${query}`)
    if (status !== 200 || bootId !== (await this.bootId())) {
      throw new EnvoyGone(status === 200 ? 'Envoy was started again while it was asked' : `Envoy answered ${status}`)
    }
    return { bootId, body }
  }

  /** Envoy makes its socket anew at each start, and nobody else touches it. @throws EnvoyGone before the first start */
  async bootId(): Promise<string> {
    const { ino, ctimeNs } = await stat(this.#socket, { bigint: true }).catch((error: unknown) => {
      throw new EnvoyGone('Envoy has not been started yet', { cause: error })
    })
    return `${ino.toString(16)}-${ctimeNs.toString(16)}`
  }

  async #send(method: 'GET' | 'POST', path: string): Promise<{ status: number; body: string }> {
    try {
      const { statusCode, body } = await this.#client.request({ method, path })
      return { status: statusCode, body: await body.text() }
    } catch (error) {
      throw new EnvoyGone('Envoy does not answer on its admin socket', { cause: error })
    }
  }
}
