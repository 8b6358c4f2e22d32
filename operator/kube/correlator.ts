// Which Kubernetes Events are written and which are counted, joined or left out. Pure but for its memory: time is given.

/** An Event as its reporter says it. */
export interface Notice {
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, from a fixed vocabulary. */
  readonly reason: string
  readonly message: string
  /** What was being done, CamelCase; the reason unless given. */
  readonly action?: string
}

/** What is done with a notice. `count` adds to the Event `name` that was written before. */
export type Decision =
  | { readonly do: 'create'; readonly key: string; readonly message: string }
  | {
      readonly do: 'count'
      readonly key: string
      readonly message: string
      readonly name: string
      readonly count: number
    }
  | { readonly do: 'drop' }

/** @see client-go tools/record/events_cache.go, whose numbers these are */
const similarMessages = 10
const similarWithinMs = 600_000
const burst = 25
const refillMs = 300_000
const remembered = 4096
/** The API server refuses longer ones. */
const longestMessage = 1024

export class Correlator {
  readonly #written = new Recent<{ name: string; count: number }>(remembered)
  readonly #similar = new Recent<{ readonly messages: Set<string>; at: number }>(remembered)
  readonly #buckets = new Recent<{ tokens: number; at: number }>(remembered)

  /**
   * @param object identifies the object that the notice is about
   * @param now milliseconds of a clock that does not jump
   */
  decide(object: string, notice: Notice, now: number): Decision {
    if (!this.#takeToken(object, now)) return { do: 'drop' }
    const group = [object, notice.type, notice.reason, notice.action ?? ''].join('\n')
    const joined = this.#isOneOfMany(group, notice.message, now)
    const text = joined ? `(combined from similar events): ${notice.message}` : notice.message
    const message = text.length > longestMessage ? `${text.slice(0, longestMessage - 3)}...` : text
    const key = joined ? group : `${group}\n${message}`
    const before = this.#written.get(key)
    if (before === undefined) return { do: 'create', key, message }
    before.count += 1
    return { do: 'count', key, message, name: before.name, count: before.count }
  }

  /** The Event was written under this name: repeats are counted on it. */
  written(key: string, name: string): void {
    this.#written.set(key, { name, count: 1 })
  }

  /** The Event is gone (they live an hour): the next repeat is written anew. */
  gone(key: string): void {
    this.#written.delete(key)
  }

  #takeToken(object: string, now: number): boolean {
    const bucket = this.#buckets.get(object) ?? this.#buckets.set(object, { tokens: burst, at: now })
    bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.at) / refillMs)
    bucket.at = now
    // Refills are fractions; a hair under one token is one.
    if (bucket.tokens < 1 - 1e-9) return false
    bucket.tokens -= 1
    return true
  }

  #isOneOfMany(group: string, message: string, now: number): boolean {
    const before = this.#similar.get(group)
    const recent = before !== undefined && now - before.at < similarWithinMs
    const entry = recent ? before : this.#similar.set(group, { messages: new Set(), at: now })
    entry.at = now
    // No need to remember more messages than it takes to know that there are many.
    if (entry.messages.size <= similarMessages) entry.messages.add(message)
    return entry.messages.size > similarMessages
  }
}

/** A map that forgets what was used longest ago. */
class Recent<V> {
  readonly #map = new Map<string, V>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get(key: string): V | undefined {
    const value = this.#map.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }

  set(key: string, value: V): V {
    this.#map.delete(key)
    this.#map.set(key, value)
    if (this.#map.size > this.#most) this.#map.delete(this.#map.keys().next().value ?? '')
    return value
  }

  delete(key: string): void {
    this.#map.delete(key)
  }
}
