// Envoy's own log: why it refused something stands nowhere else. Its lines are repeated in the agent's log, so that
// `kubectl logs` shows them, and the file is kept small.
import { open, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { envoyLog } from '../xds/bootstrap.ts'

/** Envoy appends, so an emptied file goes on from its start. */
const maxBytes = 1024 * 1024
const chunkBytes = 64 * 1024

export class EnvoyLog {
  readonly #path: string
  readonly #heard: (entry: string) => void
  #offset = 0
  #lastRefusal = ''
  #reading: Promise<void> | undefined

  /** @param heard is called with each entry, which may have several lines */
  constructor(folder: string, heard: (entry: string) => void) {
    this.#path = join(folder, envoyLog)
    this.#heard = heard
  }

  /** What Envoy said last about something that it refused; empty when it said nothing. */
  get lastRefusal(): string {
    return this.#lastRefusal
  }

  /** Reads what is new. A missing file is a log that is empty. */
  read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #read(): Promise<void> {
    const file = await open(this.#path, 'r').catch(() => undefined)
    if (file === undefined) return
    try {
      const { size } = await file.stat()
      if (size < this.#offset) this.#offset = 0
      const buffer = Buffer.alloc(chunkBytes)
      let text = ''
      while (this.#offset < size) {
        const { bytesRead } = await file.read(buffer, 0, chunkBytes, this.#offset)
        if (bytesRead === 0) break
        this.#offset += bytesRead
        text += buffer.toString('utf8', 0, bytesRead)
      }
      for (const entry of entriesOf(text)) this.#take(entry)
    } finally {
      await file.close()
    }
    if (this.#offset > maxBytes) {
      await truncate(this.#path)
      this.#offset = 0
    }
  }

  #take(entry: string): void {
    this.#heard(entry)
    this.#lastRefusal = refusalIn(entry) ?? this.#lastRefusal
  }
}

/** An entry begins with its time in brackets; what follows until the next one belongs to it. */
export const entriesOf = (text: string): string[] =>
  text
    .split(/\n(?=\[[0-9]{4}-[0-9]{2}-[0-9]{2} )/)
    .map((entry) => withoutDump(entry.trim()))
    .filter((entry) => entry !== '')

/** Envoy prints the whole refused message, hundreds of lines, between "rejected:" and the reason. */
const withoutDump = (entry: string): string => entry.replace(/goo\.gle\/debug\w*[^]*\n: /, '')

/** The reason in an entry about a refused resource. */
export const refusalIn = (entry: string): string | undefined =>
  /delta_subscription_state\.cc:[0-9]+\] delta config for \S+ rejected: ([^]+)/
    .exec(entry)?.[1]
    ?.replaceAll(/\s+/g, ' ')
    .slice(0, 1000)
