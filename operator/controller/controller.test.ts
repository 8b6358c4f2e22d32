import { describe, expect, test } from '@jest/globals'
import { Registry } from 'prom-client'
import { ConnectionError, FencedError, StatusError } from '../kube/errors.ts'
import { configmaps, type ConfigMap } from '../kube/resources.ts'
import { Store } from '../kube/store.ts'
import { silent, type Fields, type Logger } from '../telemetry/log.ts'
import { Backoff } from './backoff.ts'
import { Consistency } from './consistency.ts'
import { Controller, TerminalError, type ControllerOptions, type Reconcile } from './controller.ts'
import { WorkQueue, type Clock } from './workqueue.ts'

const configMap = (name: string, version: number, labels: Record<string, string> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'n', name, uid: name, resourceVersion: String(version), labels },
})

interface Run {
  readonly controller: Controller
  readonly registry: Registry
  readonly metric: (name: string, labels?: Record<string, string>) => Promise<number>
  readonly end: () => Promise<void>
}

const run = (reconcile: Reconcile, more: Partial<ControllerOptions> = {}): Run => {
  const registry = new Registry()
  const controller = new Controller({ name: 'c', reconcile, log: silent, registry, ...more })
  const [stop, kill] = [new AbortController(), new AbortController()]
  const running = controller.run(stop.signal, kill.signal)
  return {
    controller,
    registry,
    metric: async (name, labels = {}) => {
      const values = (await registry.getSingleMetric(`controller_runtime_${name}`)?.get())?.values ?? []
      const matches = values.filter((value) =>
        Object.entries(labels).every(([label, text]) => value.labels[label] === text),
      )
      return matches.reduce((sum, { value }) => sum + value, 0)
    },
    end: async () => {
      stop.abort()
      kill.abort(new Error('the end'))
      await running
    },
  }
}

/** A reconcile that does one thing after the other, and a promise of its n-th call. */
const script = (...outcomes: (() => ReturnType<Reconcile>)[]) => {
  const calls: string[] = []
  const waiting = new Map<number, () => void>()
  const reconcile: Reconcile = (key) => {
    calls.push(key)
    waiting.get(calls.length)?.()
    return outcomes[calls.length - 1]?.() ?? Promise.resolve()
  }
  const called = (times: number): Promise<void> =>
    calls.length >= times ? Promise.resolve() : new Promise((resolve) => waiting.set(times, resolve))
  return { reconcile, calls, called }
}

const status = (code: number) => new StatusError(code, {}, { verb: 'get', resource: 'x' })

describe('outcomes', () => {
  test('an error is counted and tried again; success forgets it', async () => {
    const { reconcile, called } = script(
      () => Promise.reject(status(500)),
      () => Promise.reject(status(500)),
    )
    const { controller, metric, end } = run(reconcile)
    controller.queue.add('n/a')
    await called(3)
    await end()
    expect(await metric('reconcile_total', { result: 'error' })).toBe(2)
    expect(await metric('reconcile_total', { result: 'success' })).toBe(1)
    expect(await metric('reconcile_errors_total')).toBe(2)
    expect(await metric('reconcile_panics_total')).toBe(0)
    expect(controller.queue.failures('n/a')).toBe(0)
  })

  test.each([
    ['the API server is away', status(503), 30_000],
    ['the API server is too busy', status(429), 30_000],
    ['no answer came', new ConnectionError('ECONNREFUSED', { verb: 'get', resource: 'x' }, 'x'), 30_000],
    ['the API server refuses this object', status(422), 300_000],
    ['the program is wrong', new TypeError('x'), 300_000],
  ])('after many failures a key waits no longer than it must where %s', async (_, error, mostMs) => {
    const backoff = new Backoff(undefined, () => 1)
    for (let n = 0; n < 50; n += 1) backoff.next('n/a')
    const waited = Promise.withResolvers<number>()
    const clock: Clock = {
      now: () => 0,
      after: (ms) => {
        waited.resolve(ms)
        return () => {}
      },
    }
    const { controller, end } = run(() => Promise.reject(error), {
      queue: new WorkQueue({ name: 'c', clock, backoff }),
    })
    controller.queue.add('n/a')
    expect(await waited.promise).toBe(mostMs)
    await end()
  })

  test('a conflict and a closed fence are tried again without being errors', async () => {
    const { reconcile, called } = script(
      () => Promise.reject(status(409)),
      () => Promise.reject(new FencedError('x')),
    )
    const { controller, metric, end } = run(reconcile)
    controller.queue.add('n/a')
    await called(3)
    await end()
    expect(await metric('reconcile_total', { result: 'requeue' })).toBe(2)
    expect(await metric('reconcile_errors_total')).toBe(0)
  })

  test('a terminal error is counted and not tried again', async () => {
    const { reconcile, calls, called } = script(() => Promise.reject(new TerminalError('no use')))
    const { controller, metric, end } = run(reconcile)
    controller.queue.add('n/a')
    await called(1)
    await end()
    expect(calls).toEqual(['n/a'])
    expect(controller.queue.has('n/a')).toBe(false)
    expect(await metric('terminal_reconcile_errors_total')).toBe(1)
  })

  test('a bug, thrown at once or later, is counted as one and ends nothing', async () => {
    const { reconcile, called } = script(
      () => {
        throw new TypeError('undefined is not a function')
      },
      () => Promise.reject(new RangeError('x')),
    )
    const { controller, metric, end } = run(reconcile)
    controller.queue.add('n/a')
    await called(3)
    await end()
    expect(await metric('reconcile_panics_total')).toBe(2)
  })

  test('what asks to be looked at again is', async () => {
    const { reconcile, called } = script(() => Promise.resolve({ requeueAfterMs: 1 }))
    const { controller, metric, end } = run(reconcile)
    controller.queue.add('n/a')
    await called(2)
    await end()
    expect(await metric('reconcile_total', { result: 'requeue_after' })).toBe(1)
  })

  test('one that takes too long is told to stop, and counted', async () => {
    const { reconcile, called } = script()
    const signalled: Reconcile = async (key, context) => {
      await new Promise((resolve) => context.signal.addEventListener('abort', resolve, { once: true }))
      await reconcile(key, context)
      throw context.signal.reason
    }
    const { controller, metric, end } = run(signalled, { reconcileTimeoutMs: 20 })
    controller.queue.add('n/a')
    await called(1)
    await end()
    expect(await metric('reconcile_timeouts_total')).toBeGreaterThanOrEqual(1)
  })

  test('every line of a reconcile carries its key and its id', async () => {
    const children: Fields[] = []
    const log: Logger = { ...silent, child: (fields) => (children.push(fields), silent) }
    const { reconcile, called } = script()
    const { controller, end } = run(reconcile, { log })
    controller.queue.add('n/a')
    await called(1)
    await end()
    expect(children).toEqual([{ controller: 'c', key: 'n/a', reconcileId: expect.stringMatching(/^[0-9a-f-]{36}$/) }])
  })
})

describe('the loop', () => {
  test('works on as many keys at once as it may, and never on one key twice at once', async () => {
    const atOnce = new Map<string, number>()
    let most = 0
    const done: string[] = []
    const reconcile: Reconcile = async (key) => {
      atOnce.set(key, (atOnce.get(key) ?? 0) + 1)
      expect(atOnce.get(key)).toBe(1)
      most = Math.max(most, atOnce.size)
      controller.queue.add(key)
      await new Promise((resolve) => setImmediate(resolve))
      atOnce.delete(key)
      done.push(key)
    }
    const { controller, metric, end } = run(reconcile, { maxConcurrentReconciles: 3 })
    for (const key of ['a', 'b', 'c', 'd', 'e']) controller.queue.add(key)
    while (done.length < 50) await new Promise((resolve) => setImmediate(resolve))
    await end()
    expect(most).toBe(3)
    // A failed expectation inside reconcile is an error to the loop.
    expect(await metric('reconcile_errors_total')).toBe(0)
    expect(await metric('active_workers')).toBe(0)
  })

  test('ends when what is in work has ended, and begins nothing new', async () => {
    const finish = new AbortController()
    const calls: string[] = []
    const controller = new Controller({
      name: 'c',
      log: silent,
      reconcile: async (key) => {
        calls.push(key)
        await new Promise((resolve) => finish.signal.addEventListener('abort', resolve, { once: true }))
      },
    })
    const stop = new AbortController()
    let ended = false
    const running = controller.run(stop.signal).then(() => (ended = true))
    controller.queue.add('a')
    controller.queue.add('b')
    while (calls.length === 0) await new Promise((resolve) => setImmediate(resolve))
    stop.abort()
    await new Promise((resolve) => setImmediate(resolve))
    expect(ended).toBe(false)
    finish.abort()
    await running
    expect(calls).toEqual(['a'])
  })

  test('a key waits for the cache to show what was written for it', async () => {
    const store = new Store<ConfigMap>()
    const scope = store.scope()
    scope.replace([configMap('a', 1)], '1')
    const consistency = new Consistency()
    consistency.track(configmaps, store)
    const seen: (string | undefined)[] = []
    const { reconcile, called } = script(async () => consistency.record('n/a', configmaps, '5'))
    const watching: Reconcile = (key, context) => {
      seen.push(store.get('n', 'a')?.metadata.resourceVersion)
      return reconcile(key, context)
    }
    const { controller, metric, end } = run(watching, { consistency })
    controller.for(store)
    await called(1)
    controller.queue.add('n/a')
    while ((await metric('reconcile_deferred_total')) === 0) await new Promise((resolve) => setImmediate(resolve))
    scope.apply(configMap('a', 5))
    await called(2)
    await end()
    expect(seen).toEqual(['1', '5'])
  })
})

describe('what brings a key into the queue', () => {
  test('an object that changes hands concerns both owners; a first list and a resync go behind', async () => {
    const controller = new Controller({ name: 'c', log: silent, reconcile: async () => {} })
    const store = new Store<ConfigMap>()
    const scope = store.scope()
    controller.watch(store, ({ metadata }) => metadata.labels?.['owner'])
    const taken = async () => {
      const handouts = []
      while (controller.queue.depth > 0) {
        const handout = await controller.queue.take()
        handouts.push(`${handout?.key} ${handout?.priority}`)
        controller.queue.done(handout?.key ?? '')
      }
      return handouts
    }
    scope.replace([configMap('x', 1, { owner: 'n/a' })], '1')
    expect(await taken()).toEqual(['n/a -100'])
    scope.apply(configMap('x', 2, { owner: 'n/b' }))
    expect(await taken()).toEqual(['n/b 0', 'n/a 0'])
    scope.delete(configMap('x', 3, { owner: 'n/b' }))
    expect(await taken()).toEqual(['n/b 0'])
    controller.for(store)
    scope.apply(configMap('y', 4))
    expect(await taken()).toEqual(['n/y 0'])
    controller.resync()
    expect(await taken()).toEqual(['n/y -100'])
  })

  test('a mapping that throws is counted and stops neither the cache nor others', async () => {
    const registry = new Registry()
    const controller = new Controller({ name: 'c', log: silent, registry, reconcile: async () => {} })
    const store = new Store<ConfigMap>()
    controller.watch(store, () => {
      throw new TypeError('x')
    })
    controller.for(store)
    store.scope().replace([configMap('a', 1)], '1')
    expect(controller.queue.has('n/a')).toBe(true)
    expect(await registry.metrics()).toContain('controller_runtime_reconcile_panics_total{controller="c"} 1')
  })
})
