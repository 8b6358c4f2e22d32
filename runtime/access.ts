/**
 * Who may ask, and how much of it at once: API keys, and a limit of requests under way for each client. HTTP and gRPC ask
 * here before they read a body. It must never tell a key, nor by its timing how near a guess was to one.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { fault, type Fault } from './errors.ts'

/** What is known of whoever asks, before anything of the request is read. */
export interface Asker {
  /** The header `authorization`. */
  readonly authorization: string | undefined
  /** The header `x-api-key`. */
  readonly apiKey: string | undefined
  /** The value of the header that names clients, if one is configured and sent. */
  readonly named: string | undefined
  /** The other end of the connection. */
  readonly address: string
}

export interface AccessOptions {
  /** Requests that one client may have under way; undefined for any number. */
  readonly maxPerClient: number | undefined
  /** The header, in lower case, whose value tells clients apart; else their key does, else their address. */
  readonly clientHeader: string | undefined
}

/** Called once, when the request is over. */
export type Leave = () => void

export class Access {
  readonly clientHeader: string | undefined
  readonly #maxPerClient: number | undefined
  /** Digests of the keys, all of one length; undefined asks for none. */
  #keys: readonly Buffer[] | undefined
  readonly #underWay = new Map<string, number>()

  constructor({ maxPerClient, clientHeader }: AccessOptions) {
    this.#maxPerClient = maxPerClient
    this.clientHeader = clientHeader
  }

  /** Asks for one of these keys from now on. Requests under way go on. */
  useKeys(keys: readonly string[]): void {
    this.#keys = keys.map(digestOf)
  }

  /** Lets a request in, or says why not: Fault `KeyUnknown` or `ClientLimit`. */
  admit(asker: Asker): Leave | Fault {
    const key = asker.apiKey ?? bearerOf(asker.authorization)
    const known = this.#keys === undefined ? -1 : placeOf(key, this.#keys)
    if (this.#keys !== undefined && known === -1) return fault('KeyUnknown', {})
    if (this.#maxPerClient === undefined) return () => {}
    const client = asker.named ?? (known === -1 ? asker.address : `key ${known}`)
    const running = this.#underWay.get(client) ?? 0
    if (running >= this.#maxPerClient) return fault('ClientLimit', { running, limit: this.#maxPerClient })
    this.#underWay.set(client, running + 1)
    return () => {
      const left = (this.#underWay.get(client) ?? 1) - 1
      if (left === 0) this.#underWay.delete(client)
      else this.#underWay.set(client, left)
    }
  }
}

function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
}

/** Which key it is, or -1. Looks at all of them, each in constant time. */
function placeOf(key: string | undefined, keys: readonly Buffer[]): number {
  const digest = digestOf(key ?? '')
  let place = -1
  for (const [index, known] of keys.entries()) if (timingSafeEqual(known, digest)) place = index
  return key === undefined ? -1 : place
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}
