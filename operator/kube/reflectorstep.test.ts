import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ConnectionError, MalformedEventError, StatusError } from './errors.ts'
import { start, step, type Effect, type Happened, type State } from './reflectorstep.ts'
import type { KubeObject } from './types.ts'

type Thing = KubeObject

const asked = { verb: 'watch', resource: 'things' }
const status = (code: number, retryAfterMs?: number) => new StatusError(code, {}, asked, retryAfterMs)
const thing = (name: string, version: number): Thing => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name, resourceVersion: String(version) },
})

const streaming: State = { at: 'Streaming', failures: 2 }
const listing: State = { at: 'Listing', continue: 'more', failures: 2 }
const watching: State = { at: 'Watching', resourceVersion: '7', failures: 2 }
const failed = (error: unknown, lastedMs = 0): Happened<Thing> => ({ what: 'failed', error, lastedMs })
const bookmark = (resourceVersion: string, initialEventsEnd = false): Happened<Thing> => ({
  what: 'event',
  event: { type: 'BOOKMARK', resourceVersion, initialEventsEnd },
})

describe('the table of contracts', () => {
  test('pages are collected and then replace everything at the version of the list', () => {
    const begun: State = { at: 'Listing', failures: 0 }
    const first = step<Thing>(begun, { what: 'page', items: [thing('a', 1)], resourceVersion: '9', continue: 'more' })
    expect(first).toEqual({
      state: { at: 'Listing', continue: 'more', failures: 0 },
      effects: [{ do: 'collect', items: [thing('a', 1)] }],
    })
    const second = step(first.state, { what: 'page', items: [thing('b', 2)], resourceVersion: '9' })
    expect(second).toEqual({
      state: { at: 'Watching', resourceVersion: '9', failures: 0 },
      effects: [
        { do: 'collect', items: [thing('b', 2)] },
        { do: 'replace', resourceVersion: '9' },
      ],
    })
  })

  test('it starts with a watch that brings everything first, and shows nothing of it before it is whole', () => {
    const added = step(start, { what: 'event', event: { type: 'ADDED', object: thing('a', 8) } })
    expect(added).toEqual({ state: start, effects: [{ do: 'collect', items: [thing('a', 8)] }] })
    const gone = step(start, { what: 'event', event: { type: 'DELETED', object: thing('a', 9) } })
    expect(gone).toEqual({ state: start, effects: [{ do: 'uncollect', object: thing('a', 9) }] })
    expect(step(start, bookmark('10'))).toEqual({ state: start })
    expect(step(start, bookmark('11', true))).toEqual({
      state: { at: 'Watching', resourceVersion: '11', failures: 0 },
      effects: [{ do: 'replace', resourceVersion: '11' }],
    })
  })

  test.each([
    ['422: the feature is off', failed(status(422))],
    ['500: etcd is too old', failed(status(500))],
    ['400', failed(status(400))],
    ['an end before it was whole', { what: 'ended', lastedMs: 300_000, events: 9 } as const],
    ['silence before it was whole', { what: 'silent', lastedMs: 10_000 } as const],
  ])('a server that cannot do that is listed page by page, at once: %s', (_, happened) => {
    expect(step(streaming, happened)).toEqual({ state: { at: 'Listing', failures: 2 }, ended: 'NotOffered' })
  })

  test('events move the version on; a bookmark moves nothing else', () => {
    const added = step(watching, { what: 'event', event: { type: 'ADDED', object: thing('a', 8) } })
    expect(added).toEqual({
      state: { ...watching, resourceVersion: '8' },
      effects: [{ do: 'apply', object: thing('a', 8) }],
    })
    const gone = step(watching, { what: 'event', event: { type: 'DELETED', object: thing('a', 9) } })
    expect(gone.effects).toEqual([{ do: 'delete', object: thing('a', 9) }])
    expect(step(watching, bookmark('12'))).toEqual({
      state: { ...watching, resourceVersion: '12' },
      effects: [{ do: 'bookmark', resourceVersion: '12' }],
    })
  })

  test('an event that comes twice, or after a later one, changes nothing', () => {
    for (const version of [6, 7]) {
      for (const type of ['ADDED', 'MODIFIED', 'DELETED'] as const) {
        expect(step(watching, { what: 'event', event: { type, object: thing('a', version) } })).toEqual({
          state: watching,
        })
      }
      expect(step(watching, bookmark(String(version)))).toEqual({ state: watching })
    }
  })

  test('a watch that says nothing is opened again from where it was, at once', () => {
    expect(step(watching, { what: 'silent', lastedMs: 90_000 })).toEqual({
      state: { ...watching, failures: 0 },
      ended: 'Silent',
    })
  })

  test('a watch that the server ended goes on at once from the same version', () => {
    const next = step(watching, { what: 'ended', lastedMs: 250_000, events: 3 })
    expect(next).toEqual({ state: { ...watching, failures: 0 }, ended: 'ServerTimeout' })
  })

  test('a watch that ends at once and empty waits, so that it cannot become a storm', () => {
    const next = step(watching, { what: 'ended', lastedMs: 5, events: 0 })
    expect(next).toMatchObject({ state: { at: 'Watching' }, ended: 'ClosedAtOnce', backoff: { attempt: 2 } })
  })

  test.each([
    ['401', status(401), 'Unauthorized'],
    ['429', status(429), 'TooManyRequests'],
    ['500', status(500), 'ServerError'],
    ['503', status(503), 'ServerError'],
    ['a reset', new ConnectionError('ECONNRESET', asked, 'x'), 'Connection'],
    ['silence', new ConnectionError('Silent', asked, 'x'), 'Connection'],
    ['a line that is no event', new MalformedEventError('x'), 'Malformed'],
    ['anything else', new Error('x'), 'Connection'],
  ])('%s waits, then goes on where it was: the watch at its version, the list at its page', (_, error, reason) => {
    for (const state of [listing, watching]) {
      const next = step(state, failed(error))
      expect(next).toEqual({
        state: { ...state, failures: 3 },
        ended: reason,
        backoff: { attempt: 2, atLeastMs: 0 },
      })
    }
  })

  test.each([
    ['403', status(403), 'Forbidden'],
    ['404', status(404), 'NotFound'],
  ])('%s waits, then lists from the start', (_, error, reason) => {
    for (const state of [listing, watching]) {
      expect(step(state, failed(error))).toEqual({
        state: { at: 'Listing', failures: 3 },
        ended: reason,
        backoff: { attempt: 2, atLeastMs: 0 },
      })
    }
  })

  test('410 lists from the start, the first time at once', () => {
    const fresh = { ...watching, failures: 0 }
    expect(step(fresh, failed(status(410)))).toEqual({
      state: { at: 'Listing', failures: 1 },
      ended: 'Gone',
    })
    expect(step(listing, failed(status(410)))).toMatchObject({
      state: { at: 'Listing' },
      backoff: { attempt: 1 },
    })
  })

  test('the server says how long to wait', () => {
    expect(step(watching, failed(status(429, 7000))).backoff).toEqual({ attempt: 2, atLeastMs: 7000 })
  })

  test('a minute of health forgets what failed before', () => {
    expect(step(watching, failed(status(500), 61_000)).backoff?.attempt).toBe(0)
  })
})

describe('whatever happens', () => {
  const error = fc.constantFrom<unknown>(
    status(401),
    status(403),
    status(404),
    status(410),
    status(422),
    status(429, 1000),
    status(500),
    new ConnectionError('ECONNRESET', asked, 'x'),
    new MalformedEventError('x'),
  )
  /** What the world does next: change something, let the reflector see some of it, say it again, or break its connection. */
  const act = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('change' as const),
        name: fc.constantFrom('a', 'b', 'c'),
        gone: fc.boolean(),
      }),
    },
    { weight: 6, arbitrary: fc.constant({ do: 'see' as const }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), back: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), error }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom('ended' as const, 'silent' as const),
        lastedMs: fc.integer({ min: 0, max: 300_000 }),
      }),
    },
  )

  test('the store is always a moment of the server, never an earlier one, and in the end the last', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (acts, pageSize) => {
        const world = new World(pageSize)
        for (const one of acts) {
          if (one.do === 'change') world.change(one.name, one.gone)
          else if (one.do === 'see') world.see()
          else if (one.do === 'repeat') world.repeat(one.back)
          else if (one.do === 'fail') world.happen({ what: 'failed', error: one.error, lastedMs: 0 })
          else if (world.state.at !== 'Listing') world.happen({ what: one.do, lastedMs: one.lastedMs, events: 0 })
        }
        for (let steps = 0; steps < 200; steps += 1) world.see()
        expect(world.state.at).toBe('Watching')
        expect(world.storms).toBe(0)
        expect(world.wrong).toEqual([])
        expect(world.store).toEqual(world.server())
      }),
      { numRuns: 500 },
    )
  })

  /** A history of changes, lists that read its present, and a watch that replays it from a version. */
  class World {
    readonly #history: { readonly name: string; readonly gone: boolean }[] = []
    readonly #pageSize: number
    /** A list is of one moment, also when it comes in pages or in a stream. */
    #listed: { readonly items: readonly Thing[]; readonly version: number } | undefined
    /** How much of it the stream has sent. */
    #streamed = 0
    #sent: Happened<Thing>[] = []
    readonly #collected = new Map<string, number>()
    /** The moment that the store shows. */
    #moment = 0
    state: State = start
    store = new Map<string, number>()
    /** Failures after a failure that were not waited for. */
    storms = 0
    /** Steps after which the store showed no moment of the server, or an earlier one than before. */
    readonly wrong: string[] = []

    constructor(pageSize: number) {
      this.#pageSize = pageSize
    }

    change(name: string, gone: boolean): void {
      this.#history.push({ name, gone })
    }

    server(version = this.#history.length): Map<string, number> {
      const present = new Map<string, number>()
      for (const [index, { name, gone }] of this.#history.slice(0, version).entries()) {
        if (gone) present.delete(name)
        else present.set(name, index + 1)
      }
      return present
    }

    /** The next thing that the server would send. */
    see(): void {
      if (this.state.at === 'Listing') return this.#page(this.state.continue)
      this.#send(this.state.at === 'Streaming' ? this.#next() : this.#change(Number(this.state.resourceVersion)))
    }

    /** Something that this watch has sent already. */
    repeat(back: number): void {
      const earlier = this.state.at === 'Watching' ? this.#sent.at(-1 - back) : undefined
      if (earlier !== undefined) this.happen(earlier)
    }

    #send(happened: Happened<Thing>): void {
      this.#sent.push(happened)
      this.happen(happened)
    }

    #change(version: number): Happened<Thing> {
      const change = this.#history[version]
      if (change === undefined) return bookmark(String(this.#history.length))
      const type = change.gone ? 'DELETED' : 'MODIFIED'
      return { what: 'event', event: { type, object: thing(change.name, version + 1) } }
    }

    #next(): Happened<Thing> {
      const { items, version } = this.#listed ?? this.#list()
      const object = items[this.#streamed]
      this.#streamed += 1
      return object === undefined
        ? bookmark(String(version), true)
        : { what: 'event', event: { type: 'ADDED', object } }
    }

    #list() {
      const items = [...this.server()].map(([name, version]) => thing(name, version))
      this.#listed = { items, version: this.#history.length }
      return this.#listed
    }

    #page(token: string | undefined): void {
      if (token === undefined) this.#collected.clear()
      const { items, version } = token === undefined ? this.#list() : (this.#listed ?? this.#list())
      const from = Number(token ?? 0)
      const to = from + this.#pageSize
      const more = to < items.length ? { continue: String(to) } : {}
      this.happen({ what: 'page', items: items.slice(from, to), resourceVersion: String(version), ...more })
    }

    happen(happened: Happened<Thing>): void {
      const before = this.state
      const { state, effects, backoff } = step(before, happened)
      this.state = state
      if (happened.what === 'failed' && backoff === undefined && before.failures > 0 && before.at !== 'Streaming')
        this.storms += 1
      for (const effect of effects ?? []) this.#carryOut(effect)
      if (happened.what === 'failed' || happened.what === 'ended' || happened.what === 'silent') {
        this.#sent = []
        this.#streamed = 0
        if (state.at !== 'Listing') this.#listed = undefined
        if (state.at === 'Streaming') this.#collected.clear()
      }
    }

    #carryOut(effect: Effect<Thing>): void {
      if (effect.do === 'collect') {
        for (const item of effect.items) this.#collected.set(item.metadata.name, versionOf(item))
        return
      }
      if (effect.do === 'uncollect') return void this.#collected.delete(effect.object.metadata.name)
      if (effect.do === 'replace') this.store = new Map(this.#collected)
      else if (effect.do === 'apply') this.store.set(effect.object.metadata.name, versionOf(effect.object))
      else if (effect.do === 'delete') this.store.delete(effect.object.metadata.name)
      const moment = 'object' in effect ? versionOf(effect.object) : Number(effect.resourceVersion)
      const shown = this.server(moment)
      const isThatMoment = shown.size === this.store.size && [...shown].every(([n, v]) => this.store.get(n) === v)
      if (moment < this.#moment || !isThatMoment) this.wrong.push(`${effect.do} after ${this.#moment}: ${moment}`)
      this.#moment = moment
    }
  }
})

const versionOf = ({ metadata }: Thing): number => Number(metadata.resourceVersion)
