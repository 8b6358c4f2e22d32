// The state machine against a small model of the world: pods start, Jobs end, specs change, in any order.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { directSpecOf } from '../api/fixtures.ts'
import { statusSchema, type ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { Rollout } from './decision.ts'
import { next } from './next.ts'
import type { Observed, Resolution, RevisionFacts } from './observed.ts'

const start = Date.parse('2026-01-01T00:00:00Z')
const minute = 60_000

const revision = (n: number): RevisionFacts => ({
  name: `fraud-${n}`,
  hash: `${n}`,
  version: `v${n}`,
  digest: `sha256:${String(n).padStart(64, '0')}`,
  image: 'runtime@sha256:0',
})

const specWith = (rollout: Partial<ModelDeploymentSpec['rollout']> = {}): ModelDeploymentSpec => {
  const spec = directSpecOf('https://models.example/1.onnx')
  return { ...spec, rollout: { ...spec.rollout, ...rollout } }
}

interface Shape {
  readonly properties?: object
  readonly items?: object
}

/** Paths of fields in a value that its schema does not know. */
const unknownFields = (schema: Shape, value: unknown, path = 'status'): string[] => {
  if (Array.isArray(value)) return value.flatMap((item, i) => unknownFields(schema.items ?? {}, item, `${path}[${i}]`))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([field, inner]) => {
    const known: unknown = schema.properties === undefined ? undefined : Reflect.get(schema.properties, field)
    return typeof known !== 'object' || known === null
      ? [`${path}.${field}`]
      : unknownFields(known, inner, `${path}.${field}`)
  })
}

/** The world as far as a rollout sees it, with knobs for what can happen to it. */
class World {
  rollout: Rollout = {}
  now = start
  spec = specWith()
  target = 1
  revisions: RevisionFacts[] = []
  ready = new Map<string, number>()
  service: string | undefined
  resolutions = new Map<number, Resolution>()
  trouble: Observed['trouble']
  refusal: Observed['refusal']
  command: Observed['command']

  observe(): Observed {
    const total = this.spec.replicas
    const hash = Number(this.rollout.candidate?.hash ?? 0)
    return {
      target: { kind: 'Revision', hash: `${this.target}`, revision: `fraud-${this.target}` },
      specHash: `${this.target}`,
      revisions: this.revisions,
      resolution: this.resolutions.get(hash) ?? { kind: 'Running' },
      pods: [...this.ready].map(([name, ready]) => ({ revision: name, total, ready, current: true })),
      ...(this.trouble && { trouble: this.trouble }),
      ...(this.refusal && { refusal: this.refusal }),
      ...(this.command && { command: this.command }),
      service: { ...(this.service && { revision: this.service }), readyEndpoints: Object.fromEntries(this.ready) },
    }
  }

  step(): void {
    this.rollout = next(this.spec, this.rollout, this.observe(), this.now).rollout
    // What the schema does not know the API server drops, and the status would differ from what was written for ever.
    const unknown = unknownFields(statusSchema, this.rollout)
    if (unknown.length > 0) throw new Error(`the schema does not know ${unknown.join(', ')}`)
  }

  /** Does what the persisted status calls for: the part that modeldeployment/plan.ts and its apply play. */
  act(): void {
    const { candidate, stable, previous } = this.rollout
    if (candidate?.state === 'Pending' && this.resolutions.get(Number(candidate.hash))?.kind === 'Resolved') {
      if (!this.revisions.some((r) => r.name === candidate.revision))
        this.revisions.unshift(revision(Number(candidate.hash)))
    }
    const running = [stable, previous, candidate?.state === 'Pending' ? undefined : candidate].flatMap(
      (r) => r?.revision ?? [],
    )
    for (const name of running) if (!this.ready.has(name)) this.ready.set(name, 0)
    for (const name of Array.from(this.ready.keys()))
      if (!running.includes(name) && name !== this.service) this.ready.delete(name)
    const goes = candidate?.state === 'Promoting' && (this.refusal === undefined || this.service === candidate.revision)
    const serving = goes ? candidate.revision : stable?.revision
    if (serving !== undefined) this.service = serving
  }

  becomeReady(): void {
    for (const name of this.ready.keys()) this.ready.set(name, this.spec.replicas)
  }

  /** Everything goes well until nothing changes any more. */
  settle(): void {
    for (let i = 0; i < 30; i++) {
      this.step()
      this.act()
      this.resolutions.set(this.target, this.resolutions.get(this.target) ?? resolved(this.target))
      this.becomeReady()
    }
  }
}

const resolved = (n: number): Resolution => ({ kind: 'Resolved', digest: revision(n).digest, version: `v${n}` })

describe('the life of a change', () => {
  test('a first version is resolved, provisioned and promoted, and every transition is in the history', () => {
    const world = new World()
    world.settle()
    expect(world.rollout.stable?.revision).toBe('fraud-1')
    expect(world.rollout.candidate).toBeUndefined()
    expect(world.rollout.history?.map((h) => h.to)).toEqual(['Pending', 'Provisioning', 'Promoting', 'Idle'])
  })

  test('a second version is promoted, and the first is kept warm until keepPreviousFor has passed', () => {
    const world = new World()
    world.settle()
    world.target = 2
    world.settle()
    expect(world.rollout).toMatchObject({ stable: { revision: 'fraud-2' }, previous: { revision: 'fraud-1' } })
    world.now += 9 * minute
    world.step()
    expect(world.rollout.previous).toBeDefined()
    world.now += 2 * minute
    world.step()
    expect(world.rollout.previous).toBeUndefined()
  })

  test('a shorter keepPreviousFor counts for the previous version that is kept already', () => {
    const world = new World()
    world.settle()
    world.target = 2
    world.settle()
    world.spec = specWith({ keepPreviousFor: '1m' })
    world.step()
    expect(world.rollout.previous?.expiresAt).toBe(new Date(start + minute).toISOString())
    world.now += minute
    world.step()
    expect(world.rollout.previous).toBeUndefined()
  })

  test('a spec edited back while the previous version is warm goes back without a new fetch', () => {
    const world = new World()
    world.settle()
    world.target = 2
    world.settle()
    world.resolutions.clear()
    world.target = 1
    world.step()
    expect(world.rollout.candidate).toMatchObject({ revision: 'fraud-1', state: 'Provisioning' })
    world.step()
    expect(world.rollout.candidate).toMatchObject({ revision: 'fraud-1', state: 'Promoting' })
    world.act()
    world.step()
    expect(world.rollout).toMatchObject({ stable: { revision: 'fraud-1' }, previous: { revision: 'fraud-2' } })
  })

  test('a spec edited again before the first edit reached users drops the first without blame', () => {
    const world = new World()
    world.settle()
    world.target = 2
    world.step()
    world.target = 3
    world.step()
    expect(world.rollout.candidate).toBeUndefined()
    world.settle()
    expect(world.rollout.stable?.revision).toBe('fraud-3')
    expect(world.rollout.rejected ?? []).toEqual([])
  })

  test('a spec edited after the Service has moved finishes the swap first', () => {
    const world = new World()
    world.settle()
    world.target = 2
    world.resolutions.set(2, resolved(2))
    while (world.rollout.candidate?.state !== 'Promoting') {
      world.step()
      world.act()
      world.becomeReady()
    }
    expect(world.service).toBe('fraud-2')
    world.target = 3
    world.step()
    expect(world.rollout.stable?.revision).toBe('fraud-2')
    world.settle()
    expect(world.rollout.stable?.revision).toBe('fraud-3')
  })
})

describe('what goes wrong', () => {
  const failing = (resolution: Resolution): World => {
    const world = new World()
    world.settle()
    world.target = 2
    world.resolutions.set(2, resolution)
    return world
  }

  test('a model that is not there is rejected, remembered, and not tried again until retryToken changes', () => {
    const world = failing({ kind: 'Failed', reason: 'ModelNotFound', message: 'gone', retryable: false })
    for (let i = 0; i < 50; i++) world.step()
    expect(world.rollout.rejected).toMatchObject([{ hash: '2', class: 'Invalid', reason: 'ModelNotFound' }])
    expect(world.rollout.stable?.revision).toBe('fraud-1')
    expect(world.rollout.history).toHaveLength(6)
    world.resolutions.delete(2)
    world.spec = specWith({ retryToken: 'again' })
    world.settle()
    expect(world.rollout.stable?.revision).toBe('fraud-2')
    expect(world.rollout.rejected).toEqual([])
  })

  test('a store that does not answer is tried again by itself with growing distances, until the deadline', () => {
    const world = failing({ kind: 'Failed', reason: 'ModelUnreachable', message: 'refused', retryable: true })
    const distances: number[] = []
    let last = world.now
    let attempt = 0
    while (world.rollout.rejected === undefined || world.rollout.rejected.length === 0) {
      world.step()
      const candidate = world.rollout.candidate
      if (candidate !== undefined && candidate.attempt !== attempt) {
        distances.push(world.now - last)
        last = world.now
        attempt = candidate.attempt
      }
      world.now += 1000
    }
    expect(distances.slice(1, 5)).toEqual(distances.slice(1, 5).toSorted((a, b) => a - b))
    expect(world.now - start).toBeLessThan(20 * minute)
    expect(world.rollout.rejected).toMatchObject([{ class: 'Infra', reason: 'ModelUnreachable' }])
  })

  test('a deadline that passes while the fetch is tried again says what the last try failed of', () => {
    const world = failing({ kind: 'Failed', reason: 'ModelUnreachable', message: 'refused', retryable: true })
    while ((world.rollout.candidate?.attempt ?? 1) < 2) {
      world.step()
      world.now += 1000
    }
    world.resolutions.delete(2)
    world.step()
    expect(world.rollout.candidate).toMatchObject({ reason: 'ModelUnreachable', message: 'refused' })
    world.now += 16 * minute
    world.step()
    expect(world.rollout.rejected).toMatchObject([
      { reason: 'ModelUnreachable', message: expect.stringContaining('refused') },
    ])
  })

  test('pods that make no progress are rejected at the deadline with the cause that was seen', () => {
    const world = failing(resolved(2))
    for (let i = 0; i < 5; i++) {
      world.step()
      world.act()
    }
    world.trouble = { reason: 'Unschedulable', message: 'No node can take pod x.', fatal: false }
    world.step()
    expect(world.rollout.candidate).toMatchObject({ reason: 'Unschedulable', message: 'No node can take pod x.' })
    world.now += 16 * minute
    world.step()
    expect(world.rollout.rejected?.[0]?.message).toContain('No node can take pod x.')
    expect(world.rollout.stable?.revision).toBe('fraud-1')
  })

  test('pods that wait for room wait for as long as it takes, and go on by themselves when it comes', () => {
    const world = failing(resolved(2))
    for (let i = 0; i < 5; i++) {
      world.step()
      world.act()
    }
    world.trouble = { reason: 'InsufficientCapacity', message: 'Free: a 0 of 2 cpu.', fatal: false }
    for (let hour = 0; hour < 24; hour++) {
      world.step()
      world.now += 60 * minute
    }
    expect(world.rollout.candidate).toMatchObject({ state: 'Provisioning', reason: 'InsufficientCapacity' })
    expect(world.rollout.candidate?.deadlineAt).toBeUndefined()
    world.trouble = undefined
    world.step()
    expect(Date.parse(world.rollout.candidate?.deadlineAt ?? '')).toBeGreaterThan(world.now)
    world.ready.set('fraud-2', 2)
    for (let i = 0; i < 5; i++) {
      world.step()
      world.act()
    }
    expect(world.rollout.stable?.revision).toBe('fraud-2')
  })

  test('a fetch that waits for room waits for as long as it takes, too', () => {
    const world = failing({ kind: 'Running' })
    world.trouble = { reason: 'InsufficientCapacity', message: 'Free: a 0 of 2 cpu.', fatal: false }
    for (let hour = 0; hour < 24; hour++) {
      world.step()
      world.now += 60 * minute
    }
    expect(world.rollout.candidate).toMatchObject({ state: 'Pending', reason: 'InsufficientCapacity' })
    expect(world.rollout.candidate?.deadlineAt).toBeUndefined()
  })

  test('a pod that becomes ready moves the deadline, because the deadline counts time without progress', () => {
    const world = failing(resolved(2))
    for (let i = 0; i < 5; i++) {
      world.step()
      world.act()
    }
    world.now += 10 * minute
    world.ready.set('fraud-2', 1)
    world.step()
    world.now += 10 * minute
    world.step()
    expect(world.rollout.candidate?.state).toBe('Provisioning')
  })

  test('a fetch that failed is tried again when its time has come, also when its Job is gone by then', () => {
    const world = failing({ kind: 'Failed', reason: 'ModelUnreachable', message: 'refused', retryable: true })
    world.step()
    world.step()
    expect(world.rollout.candidate).toMatchObject({ attempt: 1, reason: 'ModelUnreachable' })
    world.resolutions.delete(2)
    world.now += minute
    world.step()
    expect(world.rollout.candidate).toMatchObject({ attempt: 2, message: 'refused' })
    expect(world.rollout.candidate?.retryAt).toBeUndefined()
  })

  test('a version rejected for its contract is tried again as soon as spec.model.contract says Any', () => {
    const world = failing({ kind: 'Failed', reason: 'ContractIncompatible', message: 'input x', retryable: false })
    for (let i = 0; i < 3; i++) world.step()
    expect(world.rollout.candidate).toBeUndefined()
    world.spec = { ...world.spec, model: { ...world.spec.model, contract: 'Any' } }
    world.step()
    expect(world.rollout.candidate).toMatchObject({ hash: '2', attempt: 2 })
  })

  test('a candidate whose ModelRevision was deleted is resolved again', () => {
    const world = failing(resolved(2))
    while (world.rollout.candidate?.state !== 'Provisioning') {
      world.step()
      world.act()
    }
    world.revisions = world.revisions.filter((r) => r.name !== 'fraud-2')
    world.step()
    expect(world.rollout.candidate).toMatchObject({ state: 'Pending', attempt: 2 })
    world.settle()
    expect(world.rollout.stable?.revision).toBe('fraud-2')
  })

  test('a first version that died while the Service moved makes way for the spec that mends it', () => {
    const world = new World()
    while (world.rollout.candidate?.state !== 'Promoting') {
      world.step()
      world.act()
      world.resolutions.set(1, resolved(1))
      world.becomeReady()
    }
    world.ready.set('fraud-1', 0)
    world.target = 2
    world.settle()
    expect(world.rollout.stable?.revision).toBe('fraud-2')
  })

  test('a refusal that comes after the Service has moved does not move it back', () => {
    const world = failing(resolved(2))
    while (world.service !== 'fraud-2') {
      world.step()
      world.act()
      world.becomeReady()
    }
    world.refusal = { reason: 'NotImplemented', message: 'x' }
    world.step()
    expect(world.rollout.stable?.revision).toBe('fraud-2')
  })

  test('no message is longer than the schema takes, and none is cut through a character', () => {
    const world = failing(resolved(2))
    const message = `${'x'.repeat(1023)}😀${'y'.repeat(2000)}`
    world.step()
    world.trouble = { reason: 'PodRefused', message, fatal: false }
    world.step()
    expect(world.rollout.candidate?.message?.slice(1022)).toBe('x�')
    world.trouble = { reason: 'PodCrashed', message, fatal: true }
    world.step()
    for (const { message: kept } of [...(world.rollout.rejected ?? []), ...(world.rollout.history ?? [])]) {
      expect(kept.isWellFormed()).toBe(true)
      expect(kept.length).toBeLessThanOrEqual(1024)
    }
  })

  test('pods that all die while the Service moves take the Service back to the old version', () => {
    const world = failing(resolved(2))
    while (world.rollout.candidate?.state !== 'Promoting') {
      world.step()
      world.act()
      world.becomeReady()
    }
    world.ready.set('fraud-2', 0)
    world.step()
    world.act()
    expect(world.rollout.stable?.revision).toBe('fraud-1')
    expect(world.service).toBe('fraud-1')
  })
})

describe('what is held', () => {
  const provisioned = (): World => {
    const world = new World()
    world.settle()
    world.target = 2
    world.resolutions.set(2, resolved(2))
    while (world.rollout.candidate?.state !== 'Provisioning') {
      world.step()
      world.act()
    }
    return world
  }

  test('for longer than the deadline is not rejected for it when it goes on', () => {
    const paused = provisioned()
    paused.ready.set('fraud-2', 1)
    paused.step()
    paused.spec = specWith({ paused: true })
    paused.becomeReady()
    paused.step()
    paused.now += 60 * minute
    paused.ready.set('fraud-2', 1)
    paused.step()
    expect(paused.rollout.candidate?.state).toBe('Provisioning')

    const refused = provisioned()
    refused.refusal = { reason: 'NotImplemented', message: 'x' }
    refused.step()
    refused.now += 60 * minute
    refused.refusal = undefined
    refused.step()
    expect(refused.rollout.candidate?.state).toBe('Provisioning')
    // From there on it has its time, and no more.
    refused.now += 16 * minute
    refused.step()
    expect(refused.rollout.candidate).toBeUndefined()
  })

  test('is not looked at over and over once its deadlines have passed', () => {
    const world = provisioned()
    world.refusal = { reason: 'NotImplemented', message: 'x' }
    world.now += 60 * minute
    world.step()
    const { wakeAt } = next(world.spec, world.rollout, world.observe(), world.now)
    expect(wakeAt).toBeUndefined()
  })

  test('a way back to the previous version that takes longer than it is kept is not a loop', () => {
    const world = new World()
    world.settle()
    world.target = 2
    world.settle()
    world.target = 1
    world.step()
    world.ready.set('fraud-1', 1)
    world.now += 10 * minute
    world.step()
    expect(world.rollout).toMatchObject({ previous: { hash: '1' }, candidate: { hash: '1' } })
    const { wakeAt = Infinity } = next(world.spec, world.rollout, world.observe(), world.now)
    expect(wakeAt).toBeGreaterThan(world.now)
  })
})

// --- any order of events

type Event = (world: World) => void
const events: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Event>((w) => w.step()) },
  { weight: 5, arbitrary: fc.constant<Event>((w) => w.act()) },
  { weight: 3, arbitrary: fc.constant<Event>((w) => w.becomeReady()) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 3 }).map<Event>((n) => (w) => {
      w.target = n
    }),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 3 }).map<Event>((n) => (w) => {
      w.resolutions.set(n, resolved(n))
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 3 }).map<Event>((n) => (w) => {
      w.resolutions.set(n, { kind: 'Failed', reason: 'ModelInvalid', message: 'broken', retryable: false })
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 3 }).map<Event>((n) => (w) => {
      w.resolutions.set(n, { kind: 'Failed', reason: 'ModelUnreachable', message: 'refused', retryable: true })
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 3 }).map<Event>((n) => (w) => {
      if (w.ready.has(`fraud-${n}`)) w.ready.set(`fraud-${n}`, 0)
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1000, max: 20 * minute }).map<Event>((ms) => (w) => {
      w.now += ms
    }),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map<Event>((paused) => (w) => {
      w.spec = { ...w.spec, rollout: { ...w.spec.rollout, paused } }
    }),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map<Event>((refused) => (w) => {
      w.refusal = refused ? { reason: 'NameConflict', message: 'taken' } : undefined
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 3 }).map<Event>((replicas) => (w) => {
      w.spec = { ...w.spec, replicas }
    }),
  },
)

test('in any order of events the Service selects a revision that has its pods, and a rejected one comes back only when asked', () => {
  fc.assert(
    fc.property(fc.array(events, { maxLength: 120 }), (sequence) => {
      const world = new World()
      for (const event of sequence) {
        const before = world.rollout
        event(world)
        const { stable, previous, candidate, history, rejected } = world.rollout
        if (world.service !== undefined) expect(world.ready.has(world.service)).toBe(true)
        if (before.stable !== stable && stable !== undefined) expect(world.service).toBe(stable.revision)
        const roles = [stable, candidate].flatMap((r) => r?.hash ?? [])
        expect(new Set(roles).size).toBe(roles.length)
        expect(previous?.hash).not.toBe(stable?.hash ?? '-')
        if (candidate !== undefined) expect(rejected?.find((r) => r.hash === candidate.hash)).toBeUndefined()
        expect((history ?? []).length).toBeLessThanOrEqual(20)
        // Where nothing changes but for time, it wakes in the future: a past one would be a loop.
        const { rollout, wakeAt } = next(world.spec, world.rollout, world.observe(), world.now)
        if (JSON.stringify(rollout) === JSON.stringify(world.rollout))
          expect(wakeAt ?? Infinity).toBeGreaterThan(world.now)
      }
    }),
  )
})

test('the same inputs give the same answer, and repeating a step that settled changes nothing', () => {
  fc.assert(
    fc.property(fc.array(events, { maxLength: 60 }), (sequence) => {
      const world = new World()
      for (const event of sequence) event(world)
      world.spec = { ...specWith(), replicas: 1 }
      world.trouble = undefined
      world.refusal = undefined
      world.resolutions.clear()
      world.settle()
      world.settle()
      const seen = world.observe()
      const once = next(world.spec, world.rollout, seen, world.now)
      expect(next(world.spec, world.rollout, seen, world.now)).toEqual(once)
      expect(once.transitions).toEqual([])
      expect(once.rollout).toEqual(world.rollout)
      expect(world.rollout.candidate).toBeUndefined()
    }),
  )
})

describe('commands in mode Direct', () => {
  const provisioned = (): World => {
    const world = new World()
    world.settle()
    world.target = 2
    world.resolutions.set(2, resolved(2))
    for (let i = 0; i < 3; i++) {
      world.step()
      world.act()
    }
    expect(world.rollout.candidate?.state).toBe('Provisioning')
    return world
  }
  let orders = 0
  const order = (world: World, op: string, candidate = 'fraud-2'): string | undefined => {
    world.command = { kind: 'Order', id: `${orders++}`, op, candidate, reason: '', by: 'kate' }
    world.step()
    return world.rollout.lastCommand?.result
  }

  test('pause holds a candidate before its users, and resume lets it go on', () => {
    const world = provisioned()
    expect(order(world, 'pause')).toBe('Done')
    world.settle()
    expect(world.rollout).toMatchObject({
      stable: { hash: '1' },
      candidate: { state: 'Provisioning', pausedBy: 'kate' },
    })
    expect(order(world, 'resume')).toBe('Done')
    world.settle()
    expect(world.rollout.stable?.hash).toBe('2')
  })

  test('abort ends it and remembers who, and retry asks for it again', () => {
    const world = provisioned()
    expect(order(world, 'abort')).toBe('Done')
    world.settle()
    expect(world.rollout.rejected).toMatchObject([{ hash: '2', reason: 'Aborted', class: 'User' }])
    expect(world.rollout.history?.at(-1)).toMatchObject({ to: 'Rejected', by: 'kate' })
    world.now += 24 * 60 * minute
    world.settle()
    expect(world.rollout.stable?.hash).toBe('1')
    expect(order(world, 'retry')).toBe('Done')
    world.settle()
    expect(world.rollout.stable?.hash).toBe('2')
  })

  test('what means nothing there is refused with what to do instead, and changes nothing', () => {
    const world = provisioned()
    expect(order(world, 'promote')).toBe('Refused')
    world.settle()
    expect(order(world, 'rollback')).toBe('Refused')
    expect(world.rollout.lastCommand?.message).toContain('spec.rollback.to')
    expect(world.rollout.stable?.hash).toBe('2')
  })

  test('abort is refused once the Service points at the candidate', () => {
    const world = provisioned()
    world.becomeReady()
    world.step()
    world.act()
    expect([world.rollout.candidate?.state, world.service]).toEqual(['Promoting', 'fraud-2'])
    expect(order(world, 'abort')).toBe('Refused')
    world.settle()
    expect(world.rollout.stable?.hash).toBe('2')
  })
})
