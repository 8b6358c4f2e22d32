import { describe, expect, test } from '@jest/globals'
import type { Place, Places } from './places.ts'
import { Listener } from './silence.ts'

const place = (pod: string, node: string, service: string): Place => ({
  namespace: 'team',
  pod,
  uid: pod,
  node,
  address: '10.0.0.1',
  port: 8080,
  services: [service],
})

const placesOf = (...all: readonly Place[]): Places => ({
  byUid: new Map(all.map((one) => [one.uid, one])),
  byNode: Map.groupBy(all, ({ node }) => node),
})

const pair = [place('router-a', 'node-a', 'slipway-router'), place('router-b', 'node-b', 'slipway-router')]
const routers = placesOf(...pair)
/** The candidate's users go to stable when it has no pod left. */
const isSpare = (service: string): boolean => service === 'candidate'

/** Rounds of questions every half second, from one moment to another; whoever stands on a listed node answers at once. */
const rounds = (
  listener: Listener,
  places: Places,
  alive: readonly string[],
  from: number,
  to: number,
  deaf: readonly string[] = [],
): void => {
  for (let now = from; now < to; now += 500)
    for (const one of listener.ask(places, now))
      listener.hear(one, alive.includes(one.node) && !deaf.includes(one.pod), now)
}

const lost = (listener: Listener, places: Places, now: number): string[] =>
  listener.lost(places, isSpare, now).map(({ pod }) => pod)
const both = ['node-a', 'node-b']
const settled = (places: Places): Listener => {
  const listener = new Listener(0)
  rounds(listener, places, both, 0, 3000)
  return listener
}

describe('a node that goes silent', () => {
  test('its router is lost after two seconds, and not sooner', () => {
    const listener = settled(routers)
    rounds(listener, routers, ['node-a'], 3000, 4500)
    expect(lost(listener, routers, 4499)).toEqual([])
    rounds(listener, routers, ['node-a'], 4500, 5000)
    expect(lost(listener, routers, 5000)).toEqual(['router-b'])
  })
  test('takes the only pod of a candidate with it, whose share stable gets, and not the only pod of stable', () => {
    const places = placesOf(...pair, place('new', 'node-b', 'candidate'), place('old', 'node-b', 'stable'))
    const listener = settled(places)
    rounds(listener, places, ['node-a'], 3000, 6000)
    expect(lost(listener, places, 6000)).toEqual(['router-b', 'new'])
  })
  test('takes a pod of stable with it where another answers', () => {
    const places = placesOf(...pair, place('one', 'node-b', 'stable'), place('two', 'node-a', 'stable'))
    const listener = settled(places)
    rounds(listener, places, ['node-a'], 3000, 6000)
    expect(lost(listener, places, 6000)).toEqual(['router-b', 'one'])
  })
  test('takes a pod with it that came when the node was silent already', () => {
    const listener = settled(routers)
    rounds(listener, routers, ['node-a'], 3000, 4000)
    const places = placesOf(...pair, place('new', 'node-b', 'candidate'))
    rounds(listener, places, ['node-a'], 4000, 6000)
    expect(lost(listener, places, 6000)).toEqual(['router-b', 'new'])
  })
  test('takes no pod with it that did not answer while the node did', () => {
    const places = placesOf(...pair, place('deaf', 'node-b', 'candidate'))
    const listener = new Listener(0)
    rounds(listener, places, both, 0, 5000, ['deaf'])
    rounds(listener, places, ['node-a'], 5000, 10_000)
    expect(lost(listener, places, 10_000)).toEqual(['router-b'])
  })
  test('is asked in full as soon as it is suspected, and some of its pods in turn before', () => {
    const names = Array.from({ length: 19 }, (_, index) => `p${index}`)
    const places = placesOf(...names.map((name, index) => place(name, index < 9 ? 'node-a' : 'node-b', 's')))
    const listener = new Listener(0)
    rounds(listener, places, both, 0, 30_000)
    const inTurn = [30_000, 30_500, 31_000, 31_500, 32_000].map((now) => {
      const whom = listener.ask(places, now)
      for (const one of whom) listener.hear(one, true, now)
      return whom
    })
    expect(inTurn.map(({ length }) => length).slice(0, 2)).toEqual([4, 4])
    expect(new Set(inTurn.flat().filter(({ node }) => node === 'node-b')).size).toBe(10)
    rounds(listener, places, ['node-a'], 32_500, 34_000)
    expect(listener.ask(places, 34_000).filter(({ node }) => node === 'node-b')).toHaveLength(10)
  })
  test('whose pods come back is believed: none is taken out again before it has answered', () => {
    const listener = settled(routers)
    rounds(listener, routers, ['node-a'], 3000, 6000)
    const [one] = listener.lost(routers, isSpare, 6000)
    if (one === undefined) throw new Error('router-b is lost')
    listener.takenOut(one)
    rounds(listener, routers, ['node-a'], 6000, 20_000)
    expect(lost(listener, routers, 20_000)).toEqual([])
    rounds(listener, routers, both, 20_000, 21_000)
    rounds(listener, routers, ['node-a'], 21_000, 24_000)
    expect(lost(listener, routers, 24_000)).toEqual(['router-b'])
  })
  test('and whose pods have all gone meanwhile is forgotten', () => {
    const listener = settled(routers)
    const only = placesOf(...pair.slice(0, 1))
    listener.keepOnly(only)
    rounds(listener, only, ['node-a'], 3000, 60_000)
    const again = placesOf(...pair.slice(0, 1), place('router-c', 'node-b', 'slipway-router'))
    rounds(listener, again, ['node-a'], 60_000, 70_000)
    expect(lost(listener, again, 70_000)).toEqual([])
  })
})

describe('it is we who cannot hear', () => {
  test('when nobody answers, nobody is lost', () => {
    const listener = settled(routers)
    rounds(listener, routers, [], 3000, 60_000)
    expect(lost(listener, routers, 60_000)).toEqual([])
  })
  test('when more nodes are silent than answer, nobody is lost', () => {
    const places = placesOf(...pair, place('router-c', 'node-c', 'slipway-router'))
    const listener = new Listener(0)
    rounds(listener, places, [...both, 'node-c'], 0, 3000)
    rounds(listener, places, ['node-a'], 3000, 60_000)
    expect(lost(listener, places, 60_000)).toEqual([])
  })
  test('what was said while this process slept counts for nobody', () => {
    const listener = settled(routers)
    listener.begin(60_000)
    rounds(listener, routers, ['node-a'], 60_000, 60_500)
    expect(lost(listener, routers, 60_500)).toEqual([])
  })
})

test('a pod that never answered is behind a policy: it is tried three times, and is never lost', () => {
  const listener = new Listener(0)
  rounds(listener, routers, ['node-a'], 0, 60_000)
  expect(lost(listener, routers, 60_000)).toEqual([])
  expect(listener.ask(routers, 60_000).map(({ pod }) => pod)).toEqual(['router-a'])
})

test('a single router is never taken out', () => {
  const places = placesOf(place('other', 'node-a', 'stable'), ...pair.slice(1))
  const listener = settled(places)
  rounds(listener, places, ['node-a'], 3000, 60_000)
  expect(lost(listener, places, 60_000)).toEqual([])
})
