/**
 * Where a connection of node:http2 keeps its streams. Node has a `Map` for them, and a `Map` that streams enter and leave
 * keeps them all until the whole heap is collected (see scheduling/linked.ts): five KiB of each call that was answered.
 * It must never be anything but a map to node:http2.
 */
import type { Server } from '@grpc/grpc-js'
import type { Http2Session } from 'node:http2'
import { http2ServerOf } from './connections.ts'

/** Gives each connection of this server such a map as keeps nobody who has left. */
export function forgetStreams(server: Server): void {
  http2ServerOf(server).on('session', (session) => replaceStreams(session))
}

/**
 * Whether it was done, which it is only before the first stream. Node has no way to a session's state. Where another
 * version keeps it in another place, its own map stays: that costs time and memory, and nothing else.
 */
export function replaceStreams(session: Http2Session): boolean {
  const states = Object.getOwnPropertySymbols(session)
    .filter(({ description }) => description === 'state')
    .map((symbol) => (session as unknown as Record<symbol, unknown>)[symbol])
  const [state] = states
  if (states.length !== 1 || !hasNoStreams(state)) return false
  state.streams = new ByNumber()
  return true
}

/** Node's own maps are of a class that nobody else has, and have no prototype to be known by. */
function hasNoStreams(state: unknown): state is { streams: Map<number, unknown> } {
  if (typeof state !== 'object' || state === null || !('streams' in state)) return false
  const { streams } = state
  return typeof streams === 'object' && streams !== null && 'set' in streams && 'size' in streams && streams.size === 0
}

interface Entry<Value> {
  readonly number: number
  value: Value
  next: Entry<Value> | undefined
}

/** A map by whole numbers from 0: short lists, each of whose members point at nobody when they leave. */
export class ByNumber<Value> implements Map<number, Value> {
  readonly [Symbol.toStringTag] = 'ByNumber'
  readonly #lists = Array.from<Entry<Value> | undefined>({ length: lists })
  #size = 0

  get size(): number {
    return this.#size
  }

  get(number: number): Value | undefined {
    return this.#find(number)?.value
  }

  has(number: number): boolean {
    return this.#find(number) !== undefined
  }

  set(number: number, value: Value): this {
    const found = this.#find(number)
    if (found !== undefined) {
      found.value = value
      return this
    }
    const list = listOf(number)
    this.#lists[list] = { number, value, next: this.#lists[list] }
    this.#size += 1
    return this
  }

  delete(number: number): boolean {
    const list = listOf(number)
    let before: Entry<Value> | undefined
    let entry = this.#lists[list]
    while (entry !== undefined && entry.number !== number) {
      before = entry
      entry = entry.next
    }
    if (entry === undefined) return false
    if (before === undefined) this.#lists[list] = entry.next
    else before.next = entry.next
    entry.next = undefined
    this.#size -= 1
    return true
  }

  clear(): void {
    this.#lists.fill(undefined)
    this.#size = 0
  }

  /** Of what is there now, in no order: who is visited may leave, or let others in. */
  forEach(visit: (value: Value, number: number, map: Map<number, Value>) => void): void {
    for (const { number, value } of this.#all()) visit(value, number, this)
  }

  entries(): MapIterator<[number, Value]> {
    return this.#all()
      .map(({ number, value }): [number, Value] => [number, value])
      .values()
  }

  keys(): MapIterator<number> {
    return this.#all()
      .map(({ number }) => number)
      .values()
  }

  values(): MapIterator<Value> {
    return this.#all()
      .map(({ value }) => value)
      .values()
  }

  [Symbol.iterator](): MapIterator<[number, Value]> {
    return this.entries()
  }

  #find(number: number): Entry<Value> | undefined {
    let entry = this.#lists[listOf(number)]
    while (entry !== undefined && entry.number !== number) entry = entry.next
    return entry
  }

  #all(): Entry<Value>[] {
    const all: Entry<Value>[] = []
    for (const first of this.#lists) for (let entry = first; entry !== undefined; entry = entry.next) all.push(entry)
    return all
  }
}

/** As many as half of the calls that a connection may have at once. */
const lists = 64

/** Clients give odd numbers to their streams, one after another. */
const listOf = (number: number): number => (number >>> 1) % lists
