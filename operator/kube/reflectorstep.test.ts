import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { ConnectionError, MalformedEventError, StatusError } from './errors.ts'
import { start, step, type Happened, type State } from './reflectorstep.ts'
import type { KubeObject } from './types.ts'

type Thing = KubeObject

const asked = { verb: 'watch', resource: 'things' }
const status = (code: number, retryAfterMs?: number) => new StatusError(code, {}, asked, retryAfterMs)
const thing = (name: string, version: number): Thing => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name, resourceVersion: String(version) },
})

const listing: State<Thing> = { at: 'Listing', collected: [thing('a', 1)], continue: 'more', failures: 2 }
const watching: State<Thing> = { at: 'Watching', resourceVersion: '7', failures: 2 }
const failed = (error: unknown, lastedMs = 0): Happened<Thing> => ({ what: 'failed', error, lastedMs })

describe('the table of contracts', () => {
  test('pages are collected and then replace everything at the version of the list', () => {
    const first = step<Thing>(start(), { what: 'page', items: [thing('a', 1)], resourceVersion: '9', continue: 'more' })
    expect(first).toEqual({ state: { at: 'Listing', collected: [thing('a', 1)], continue: 'more', failures: 0 } })
    const second = step(first.state, { what: 'page', items: [thing('b', 2)], resourceVersion: '9' })
    expect(second.state).toEqual({ at: 'Watching', resourceVersion: '9', failures: 0 })
    expect(second.effect).toEqual({ do: 'replace', items: [thing('a', 1), thing('b', 2)], resourceVersion: '9' })
  })

  test('events move the version on; a bookmark moves nothing else', () => {
    const added = step(watching, { what: 'event', event: { type: 'ADDED', object: thing('a', 8) } })
    expect(added).toEqual({
      state: { ...watching, resourceVersion: '8' },
      effect: { do: 'apply', object: thing('a', 8) },
    })
    const gone = step(watching, { what: 'event', event: { type: 'DELETED', object: thing('a', 9) } })
    expect(gone.effect).toEqual({ do: 'delete', object: thing('a', 9) })
    const marked = step(watching, { what: 'event', event: { type: 'BOOKMARK', resourceVersion: '12' } })
    expect(marked).toEqual({
      state: { ...watching, resourceVersion: '12' },
      effect: { do: 'bookmark', resourceVersion: '12' },
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
        state: { at: 'Listing', collected: [], failures: 3 },
        ended: reason,
        backoff: { attempt: 2, atLeastMs: 0 },
      })
    }
  })

  test('410 lists from the start, the first time at once', () => {
    const fresh = { ...watching, failures: 0 }
    expect(step(fresh, failed(status(410)))).toEqual({
      state: { at: 'Listing', collected: [], failures: 1 },
      ended: 'Gone',
    })
    expect(step(listing, failed(status(410)))).toMatchObject({
      state: { at: 'Listing', collected: [] },
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
    status(429, 1000),
    status(500),
    new ConnectionError('ECONNRESET', asked, 'x'),
    new MalformedEventError('x'),
  )
  /** What the world does next: change something, let the reflector see some of it, or break its connection. */
  const act = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('change' as const),
        name: fc.constantFrom('a', 'b', 'c'),
        gone: fc.boolean(),
      }),
    },
    { weight: 4, arbitrary: fc.constant({ do: 'see' as const }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), error }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('end' as const), lastedMs: fc.integer({ min: 0, max: 300_000 }) }),
    },
  )

  test('once the faults are over the store is what the server has', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (acts, pageSize) => {
        const world = new World(pageSize)
        for (const one of acts) {
          if (one.do === 'change') world.change(one.name, one.gone)
          else if (one.do === 'see') world.see()
          else if (one.do === 'fail') world.happen({ what: 'failed', error: one.error, lastedMs: 0 })
          else if (world.state.at === 'Watching') world.happen({ what: 'ended', lastedMs: one.lastedMs, events: 0 })
        }
        for (let steps = 0; steps < 200; steps += 1) world.see()
        expect(world.state.at).toBe('Watching')
        expect(world.storms).toBe(0)
        expect(world.store).toEqual(world.server())
      }),
    )
  })

  /** A history of changes, a list that reads its present, and a watch that replays it from a version. */
  class World {
    readonly #history: { readonly name: string; readonly gone: boolean }[] = []
    readonly #pageSize: number
    /** A list is of one moment, also when it comes in pages. */
    #listed: { readonly items: readonly Thing[]; readonly version: number } | undefined
    state: State<Thing> = start()
    store = new Map<string, number>()
    /** Failures after a failure that were not waited for. */
    storms = 0

    constructor(pageSize: number) {
      this.#pageSize = pageSize
    }

    change(name: string, gone: boolean): void {
      this.#history.push({ name, gone })
    }

    server(): Map<string, number> {
      const present = new Map<string, number>()
      for (const [index, { name, gone }] of this.#history.entries()) {
        if (gone) present.delete(name)
        else present.set(name, index + 1)
      }
      return present
    }

    /** The next thing that the server would send. */
    see(): void {
      if (this.state.at === 'Listing') return this.#page(this.state.continue)
      const version = Number(this.state.resourceVersion)
      const change = this.#history[version]
      if (change === undefined) {
        this.happen({ what: 'event', event: { type: 'BOOKMARK', resourceVersion: String(this.#history.length) } })
        return
      }
      const type = change.gone ? 'DELETED' : 'MODIFIED'
      this.happen({ what: 'event', event: { type, object: thing(change.name, version + 1) } })
    }

    #page(token: string | undefined): void {
      if (token === undefined || this.#listed === undefined) {
        const items = [...this.server()].map(([name, version]) => thing(name, version))
        this.#listed = { items, version: this.#history.length }
      }
      const from = Number(token ?? 0)
      const to = from + this.#pageSize
      const { items, version } = this.#listed
      const more = to < items.length ? { continue: String(to) } : {}
      this.happen({ what: 'page', items: items.slice(from, to), resourceVersion: String(version), ...more })
    }

    happen(happened: Happened<Thing>): void {
      const before = this.state
      const { state, effect, backoff } = step(before, happened)
      this.state = state
      if (happened.what === 'failed' && backoff === undefined && before.failures > 0) this.storms += 1
      if (effect?.do === 'replace') {
        this.store = new Map(effect.items.map(({ metadata }) => [metadata.name, Number(metadata.resourceVersion)]))
      } else if (effect?.do === 'apply') {
        this.store.set(effect.object.metadata.name, Number(effect.object.metadata.resourceVersion))
      } else if (effect?.do === 'delete') this.store.delete(effect.object.metadata.name)
    }
  }
})
