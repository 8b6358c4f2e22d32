import { describe, expect, test } from '@jest/globals'
import { configmaps, deployments, jobs, type ConfigMap, type Deployment } from '../kube/resources.ts'
import { Store } from '../kube/store.ts'
import { reached } from '../kube/version.ts'
import { Consistency } from './consistency.ts'

describe('reading our own writes', () => {
  const setUp = () => {
    const store = new Store<Deployment>()
    const scope = store.scope()
    const consistency = new Consistency()
    consistency.track(deployments, store)
    return { scope, consistency }
  }

  test('a key waits until the cache is at its last write, and other keys do not', () => {
    const { scope, consistency } = setUp()
    scope.replace([], '5')
    consistency.record('n/a', deployments, '7')
    consistency.record('n/a', deployments, '9')
    consistency.record('n/a', deployments, '8')
    expect(consistency.pending('n/a')).toMatchObject({ resource: 'deployments.apps', resourceVersion: '9' })
    expect(consistency.ready('n/b')).toBe(true)
    scope.bookmark('8')
    expect(consistency.ready('n/a')).toBe(false)
    scope.bookmark('10')
    expect(consistency.ready('n/a')).toBe(true)
  })

  test('a cache that was never filled is waited for; a kind without a cache is not', () => {
    const { scope, consistency } = setUp()
    consistency.record('n/a', deployments, '7')
    consistency.record('n/b', jobs, '7')
    expect([consistency.ready('n/a'), consistency.ready('n/b')]).toEqual([false, true])
    scope.replace([], '7')
    expect(consistency.ready('n/a')).toBe(true)
  })

  test('each namespace is as far as its own reflector', () => {
    const store = new Store<ConfigMap>()
    const [a, b] = [store.scope('a'), store.scope('b')]
    const consistency = new Consistency()
    consistency.track(configmaps, store)
    a.replace([], '20')
    b.replace([], '5')
    consistency.record('a/x', configmaps, '10')
    consistency.record('b/x', configmaps, '10')
    expect([consistency.ready('a/x'), consistency.ready('b/x')]).toEqual([true, false])
    consistency.forget('b/x')
    expect(consistency.ready('b/x')).toBe(true)
  })

  test.each([
    ['10', '9', true],
    ['9', '10', false],
    ['10', '10', true],
    ['18446744073709551615', '18446744073709551614', true],
    ['18446744073709551614', '18446744073709551615', false],
    ['abc', '10', true],
    ['10', 'abc', true],
  ])('version %s has reached %s: %s', (seen, wanted, expected) => {
    expect(reached(seen, wanted)).toBe(expected)
  })
})
