import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { keyOf } from './key.ts'
import { byLabel, byOwnerUid, Store, type StoreEvent } from './store.ts'
import type { KubeObject } from './types.ts'

const thing = (namespace: string, name: string, version: number, colour = 'red', uid = name): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { namespace, name, uid, resourceVersion: String(version), labels: { colour } },
})

const recorded = (store: Store<KubeObject>): string[] => {
  const seen: string[] = []
  store.subscribe(({ type, object, initial }) =>
    seen.push(`${type} ${object.metadata.name}${initial ? ' initial' : ''}`),
  )
  return seen
}

describe('a store', () => {
  test('tells of a list only what is new, and of deletions with the last state', () => {
    const store = new Store()
    const scope = store.scope()
    const events: StoreEvent<KubeObject>[] = []
    store.subscribe((event) => events.push(event))
    scope.replace([thing('n', 'a', 1), thing('n', 'b', 2)], '5')
    scope.replace([thing('n', 'b', 2), thing('n', 'c', 7)], '8')
    expect(events.map(({ type, object, initial }) => [type, object.metadata.name, initial])).toEqual([
      ['added', 'a', true],
      ['added', 'b', true],
      ['deleted', 'a', false],
      ['added', 'c', false],
    ])
    expect(events[2]?.object.metadata.resourceVersion).toBe('1')
    expect(store.resourceVersion('n')).toBe('8')
  })

  test('an object that was replaced under the same name is deleted and added', () => {
    const store = new Store({ byUid: ({ metadata }) => [metadata.uid ?? ''] })
    const scope = store.scope()
    scope.replace([thing('n', 'a', 1, 'red', 'first')], '1')
    const seen = recorded(store)
    scope.apply(thing('n', 'a', 2, 'red', 'second'))
    expect(seen).toEqual(['added a initial', 'deleted a', 'added a'])
    expect(store.byIndex('byUid', 'first')).toEqual([])
    expect(scope.size).toBe(1)
  })

  test('tells a late subscriber what is there already', () => {
    const store = new Store()
    store.scope().replace([thing('n', 'a', 1)], '1')
    expect(recorded(store)).toEqual(['added a initial'])
  })

  test('is synced when every scope has been listed, and wakes who waits', async () => {
    const store = new Store()
    const [a, b] = [store.scope('a'), store.scope('b')]
    const waiting = store.whenSynced()
    a.replace([], '1')
    expect(store.synced).toBe(false)
    expect(store.resourceVersion('b')).toBeUndefined()
    b.replace([], '2')
    await waiting
    expect([store.resourceVersion('a'), store.resourceVersion('b')]).toEqual(['1', '2'])
  })

  test('stops waiting when the signal aborts', async () => {
    const abort = new AbortController()
    const waiting = new Store().whenSynced(abort.signal)
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })

  test('refuses two reflectors of one scope and an index that it does not have', () => {
    const store = new Store()
    store.scope('a')
    expect(() => store.scope('a')).toThrow('two reflectors')
    expect(() => store.byIndex('none', 'x')).toThrow('no index none')
  })

  test('finds objects by the uid of their controlling owner', () => {
    const store = new Store({ owner: byOwnerUid })
    const owner = { apiVersion: 'v1', kind: 'Thing', name: 'o', uid: 'u1' }
    const child = thing('n', 'child', 1)
    const other = thing('n', 'other', 1)
    store.scope().replace(
      [
        { ...child, metadata: { ...child.metadata, ownerReferences: [{ ...owner, controller: true }] } },
        { ...other, metadata: { ...other.metadata, ownerReferences: [owner] } },
      ],
      '1',
    )
    expect(store.byIndex('owner', 'u1').map(keyOf)).toEqual(['n/child'])
  })
})

describe('for any course of events', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd')
  const object = fc
    .record({
      name,
      version: fc.integer({ min: 1, max: 1000 }),
      colour: fc.constantFrom('red', 'blue'),
      uid: fc.constantFrom('1', '2'),
    })
    .map(({ name: called, version, colour, uid }) => thing('n', called, version, colour, uid))
  const action = fc.oneof(
    object.map((one) => ({ do: 'apply' as const, one })),
    object.map((one) => ({ do: 'delete' as const, one })),
    fc.uniqueArray(object, { selector: keyOf, maxLength: 4 }).map((all) => ({ do: 'replace' as const, all })),
  )

  test('contents, indexes, size and what subscribers were told all agree', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const store = new Store({ colour: byLabel('colour') })
        const scope = store.scope('n')
        const mirror = new Map<string, KubeObject>()
        store.subscribe(({ type, object: changed, old }) => {
          expect(mirror.get(keyOf(changed))).toBe(type === 'added' ? undefined : old)
          if (type === 'deleted') mirror.delete(keyOf(changed))
          else mirror.set(keyOf(changed), changed)
        })
        const model = new Map<string, KubeObject>()
        for (const act of actions) {
          if (act.do === 'replace') {
            scope.replace(act.all, '1')
            model.clear()
            for (const one of act.all) model.set(keyOf(one), one)
          } else if (act.do === 'apply') {
            scope.apply(act.one)
            model.set(keyOf(act.one), act.one)
          } else {
            scope.delete(act.one)
            model.delete(keyOf(act.one))
          }
        }
        // The same version of the same object is the same object.
        const text = (objects: Iterable<KubeObject>) =>
          [...objects].map(({ metadata }) => `${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`).toSorted()
        expect(text(store.list())).toEqual(text(model.values()))
        expect(text(mirror.values())).toEqual(text(model.values()))
        expect(scope.size).toBe(model.size)
        for (const colour of ['red', 'blue']) {
          const expected = [...store.list()].filter(({ metadata }) => metadata.labels?.['colour'] === colour)
          expect(text(store.byIndex('colour', colour))).toEqual(text(expected))
        }
      }),
    )
  })
})
