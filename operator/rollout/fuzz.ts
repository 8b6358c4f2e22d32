// Random lives of a rollout: everything of research/rollouts.md 6.6 that can happen, in any order, to the world of
// world.ts with two controllers. After each event the invariants are asked, and at the end everything calms down and
// must settle. Test-only.
import fc from 'fast-check'
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { placeOf } from './decision.ts'
import { operations } from './commands.ts'
import { isLeaving } from './states/leaving.ts'
import { weightOf } from './traffic.ts'
import type { Violation } from './invariants.ts'
import type { CheckResult, Command } from './observed.ts'
import {
  type Intent,
  type Mood,
  type World,
  empty,
  intents,
  isSettled,
  nameOf,
  perform,
  pull,
  routerSpec,
  serving,
  withReady,
  withTarget,
} from './world.ts'

const second = 1000
const minute = 60 * second

/** How a life goes on: plain data, so that a failing one can be printed and pinned. */
export type Event =
  | { readonly do: 'edit'; readonly version: number }
  | { readonly do: 'policy'; readonly rollout: Partial<ModelDeploymentSpec['rollout']> }
  | { readonly do: 'replicas'; readonly count: number }
  | { readonly do: 'command'; readonly op: string; readonly version: number | 'candidate'; readonly id: number }
  | { readonly do: 'malformed'; readonly id: string }
  | { readonly do: 'ready' | 'crash'; readonly version: number }
  | { readonly do: 'pods'; readonly version: number; readonly ready: number }
  | { readonly do: 'trouble'; readonly fatal: boolean | undefined }
  | { readonly do: 'servingTrouble' }
  | { readonly do: 'pull' | 'stale' | 'replace' | 'cut'; readonly router: number }
  | { readonly do: 'routers'; readonly count: number }
  | { readonly do: 'figures'; readonly kind: 'good' | 'bad' | 'few' | 'none' | 'missing' }
  | { readonly do: 'golden' | 'shadow'; readonly verdict: CheckResult['verdict']; readonly late: boolean }
  | { readonly do: 'plan' | 'perform' | 'die'; readonly controller: number }
  /** Several looks of the operator in a row, with all that they ask for: how a rollout gets anywhere between faults. */
  | { readonly do: 'rounds'; readonly count: number; readonly lucky: boolean }
  | { readonly do: 'clock'; readonly ms: number }
  | { readonly do: 'lose'; readonly what: 'revision' | 'workload'; readonly version: number }
  | { readonly do: 'wipe' }
  | { readonly do: 'refuse'; readonly on: boolean }

export const versions = [1, 2, 3, 4]
const version = fc.constantFrom(...versions)
const router = fc.integer({ min: 0, max: 2 })
const controller = fc.integer({ min: 0, max: 1 })

type Policy = Partial<ModelDeploymentSpec['rollout']>

/** One field of spec.rollout at a time, so that most of them keep what lets a rollout get far. */
const policies = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Policy>({ paused: true }, { paused: false }, { retryToken: 'again' }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom<Policy>(
      { steps: [{ weight: 1, minDuration: '1m' }, { weight: 50 }] },
      {
        steps: [
          { weight: 20, gate: 'Manual' },
          { weight: 100, gate: 'Manual' },
        ],
      },
      { steps: [{ weight: 5, minDuration: '0s' }] },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Policy>(
      { onInconclusive: 'Rollback' },
      { onInconclusive: 'Promote' },
      { onNoTraffic: 'Hold' },
      { onMetricsError: 'Rollback' },
      { onStableUnhealthy: 'Hold' },
      { keepPreviousFor: '0s' },
      { keepPreviousFor: '10m' },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Policy>(
      { capacity: 'Borrow' },
      { capacity: 'Recreate' },
      { capacity: 'Surge' },
      { strategy: 'Canary' },
      { strategy: 'BlueGreen' },
      { strategy: 'Recreate' },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Policy>(
      { golden: { configMap: 'golden' } },
      { shadow: {} },
      { shadow: { enabled: false } },
    ),
  },
)

export const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('rounds' as const),
      count: fc.integer({ min: 1, max: 6 }),
      lucky: fc.constantFrom(true, true, true, false),
    }),
  },
  { weight: 14, arbitrary: fc.record({ do: fc.constant('plan' as const), controller }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('perform' as const), controller }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('die' as const), controller }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('ready' as const), version }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pull' as const), router }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('stale' as const, 'replace' as const, 'cut' as const), router }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('edit' as const), version }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('policy' as const), rollout: policies }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replicas' as const), count: fc.integer({ min: 0, max: 4 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('command' as const),
      op: fc.constantFrom(...operations, 'explode'),
      version: fc.oneof(version, fc.constant('candidate' as const)),
      id: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('malformed' as const), id: fc.constantFrom('', 'x') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), version }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pods' as const), version, ready: fc.integer({ min: 0, max: 2 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('trouble' as const), fatal: fc.constantFrom(true, false, undefined) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'servingTrouble' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('routers' as const), count: fc.integer({ min: 0, max: 5 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('figures' as const),
      kind: fc.constantFrom(
        'good' as const,
        'good' as const,
        'bad' as const,
        'few' as const,
        'none' as const,
        'missing' as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('golden' as const, 'shadow' as const),
      verdict: fc.constantFrom(
        'Pass' as const,
        'Fail' as const,
        'Inconclusive' as const,
        'NoTraffic' as const,
        'Error' as const,
      ),
      late: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('clock' as const),
      ms: fc.constantFrom(second, minute, 2 * minute, 16 * minute, 60 * minute, 300 * minute, -60 * minute),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('lose' as const),
      what: fc.constantFrom('revision' as const, 'workload' as const),
      version,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refuse' as const), on: fc.boolean() }) },
)

/** A life with its beginning: something serves already, or nothing does. */
export const lives = fc.record({
  first: fc.boolean(),
  replicas: fc.integer({ min: 1, max: 3 }),
  rollout: policies,
  events: fc.array(events, { maxLength: 60, size: 'max' }),
})
export type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never

export class Player {
  world: World
  mood: Mood = { calls: {} }
  readonly violations: Violation[] = []
  readonly #pending: (Intent | undefined)[] = [undefined, undefined]
  #ids = 1000

  constructor({ first, replicas, rollout }: Omit<Life, 'events'>) {
    const spec = routerSpec({ strategy: 'Canary', ...rollout, paused: false }, { replicas })
    this.world = first ? empty(spec) : serving(spec)
  }

  play(event: Event): void {
    const { world } = this
    switch (event.do) {
      case 'edit':
        this.world = withTarget(world, event.version)
        break
      case 'policy':
        this.#edit({ rollout: { ...world.spec.rollout, ...event.rollout } })
        break
      case 'replicas':
        this.#edit({ replicas: event.count })
        break
      case 'command':
        this.#command(event.op, event.version, `${event.id}`)
        break
      case 'malformed':
        this.mood = { ...this.mood, command: { kind: 'Malformed', id: event.id, op: '', message: 'No command.' } }
        break
      case 'ready':
        this.world = withReady(world, event.version, (world.workloads[event.version]?.ready ?? 0) + 1)
        break
      case 'crash':
        this.world = withReady(world, event.version, 0)
        break
      case 'pods':
        this.world = withReady(world, event.version, event.ready)
        break
      case 'trouble': {
        const { trouble: _gone, ...rest } = this.mood
        const { fatal } = event
        this.mood =
          fatal === undefined ? rest : { ...rest, trouble: { reason: 'PodCrashed', message: 'It exits.', fatal } }
        break
      }
      case 'servingTrouble':
        this.mood = { ...this.mood, servingTrouble: { reason: 'PodCrashed', message: 'It exits.', fatal: false } }
        break
      case 'pull':
        this.world = pull(world, event.router, world.rollout.traffic)
        break
      case 'stale':
        if (world.routers[event.router] !== undefined) this.world = pull(world, event.router, world.lastTraffic)
        break
      case 'replace':
        this.world = { ...world, routers: world.routers.map((r, i) => (i === event.router ? undefined : r)) }
        break
      case 'cut':
        this.mood = { ...this.mood, unreachable: [event.router] }
        break
      case 'routers':
        this.#scaleRouters(event.count)
        break
      case 'figures':
        this.#figures(event.kind)
        break
      case 'golden':
      case 'shadow':
        this.#check(event.do, event.verdict, event.late)
        break
      case 'plan':
        this.#plan(event.controller)
        break
      case 'perform':
        this.#perform(event.controller)
        break
      case 'rounds':
        this.#rounds(event.count, event.lucky)
        break
      case 'die':
        this.#pending[event.controller] = undefined
        break
      case 'clock':
        this.world = { ...world, now: world.now + event.ms }
        break
      case 'lose':
        this.#lose(event.what, event.version)
        break
      case 'wipe':
        this.world = { ...world, rollout: {}, objectVersion: world.objectVersion + 1 }
        break
      default:
        this.#refuse(event.on)
    }
  }

  /** Faults stop, and time goes on. A person lets pass what waits for one. @returns whether everything settled. */
  calm(rounds = 400): boolean {
    this.#edit({
      replicas: Math.max(1, this.world.spec.replicas),
      rollout: { ...this.world.spec.rollout, paused: false },
    })
    if (this.world.routers.length === 0) this.#scaleRouters(2)
    this.#pending.fill(undefined)
    for (let i = 0; i < rounds; i++) {
      this.#makeGood()
      this.#pass()
      if (!this.round() && isSettled(this.world)) return true
      this.world = { ...this.world, now: this.world.now + minute }
    }
    return false
  }

  /** One look of the operator, and everything that it asks for happens. @returns whether anything was done. */
  round(): boolean {
    const due = intents(this.world, this.mood, this.#report)
    for (const intent of due) this.world = perform(this.world, intent, this.#report)
    for (const [v, { replicas }] of Object.entries(this.world.workloads))
      this.world = withReady(this.world, Number(v), replicas)
    const before = this.world
    this.world.routers.forEach((_, i) => {
      this.world = pull(this.world, i, this.world.rollout.traffic)
    })
    return due.length > 0 || this.world !== before
  }

  get place(): string {
    return placeOf(this.world.rollout.candidate)
  }

  /** With luck, until the rollout is at this place. @throws when it does not come there. */
  reach(place: string): void {
    for (let i = 0; i < 80; i++) {
      if (this.place === place && (i > 0 || place !== 'Idle')) return
      this.#rounds(1, true)
    }
    throw new Error(`it never came to ${place}; it is at ${this.place}: ${JSON.stringify(this.world.rollout.history)}`)
  }

  /** Looks of the operator while nothing else happens. */
  look(count = 1): void {
    for (let i = 0; i < count; i++)
      for (const intent of intents(this.world, this.mood, this.#report))
        this.world = perform(this.world, intent, this.#report)
  }

  /** The share of one version in thousandths, as it is wanted. */
  weight(version: number): number {
    return weightOf(this.world.rollout.traffic, nameOf(version))
  }

  /** What the history says last of the candidate is where the candidate is. */
  historyAgrees(): boolean {
    const { candidate, history = [] } = this.world.rollout
    const last = history.findLast((h) => h.revision === candidate?.revision)
    return (
      candidate === undefined || last === undefined || last.reason === 'Recovered' || last.to === placeOf(candidate)
    )
  }

  readonly #report = (violation: Violation): void => {
    this.violations.push(violation)
  }

  /** With luck nothing is wrong meanwhile, and a minute passes with each. */
  #rounds(count: number, lucky: boolean): void {
    for (let i = 0; i < count; i++) {
      if (lucky) {
        const { command, refusal } = this.mood
        this.#makeGood()
        this.mood = { ...this.mood, ...(command && { command }), ...(refusal && { refusal }) }
        this.world = { ...this.world, now: this.world.now + minute }
      }
      this.round()
    }
  }

  #pass(): void {
    const { candidate } = this.world.rollout
    if (candidate === undefined || isLeaving(candidate)) return
    if (candidate.pausedBy !== undefined) this.#command('resume', 'candidate', `${this.#ids++}`)
    else if (candidate.substep === 'Gate') this.#command('promote', 'candidate', `${this.#ids++}`)
  }

  #makeGood(): void {
    const { candidate } = this.world.rollout
    this.mood = { calls: {} }
    this.#figures('good')
    if (candidate !== undefined) {
      const result = {
        revision: candidate.revision,
        attempt: candidate.attempt,
        verdict: 'Pass',
        message: 'It agrees.',
      } as const
      this.mood = { ...this.mood, golden: result, shadow: result }
    }
  }

  #edit(spec: Partial<ModelDeploymentSpec>): void {
    this.world = { ...this.world, spec: { ...this.world.spec, ...spec }, objectVersion: this.world.objectVersion + 1 }
  }

  #command(op: string, asked: number | 'candidate', id: string): void {
    const { candidate } = this.world.rollout
    const named = asked === 'candidate' ? (candidate?.revision ?? '') : nameOf(asked)
    const command: Command = {
      kind: 'Order',
      id,
      op,
      candidate: named,
      reason: id === '3' ? '' : 'so be it',
      by: 'kate',
    }
    this.mood = { ...this.mood, command }
  }

  #scaleRouters(count: number): void {
    const routers = Array.from({ length: count }, (_, i) => this.world.routers[i])
    this.world = { ...this.world, routers }
  }

  #figures(kind: 'good' | 'bad' | 'few' | 'none' | 'missing'): void {
    const { missing: _gone, ...rest } = this.mood
    const figures = { good: [1000, 0], bad: [1000, 500], few: [20, 0], none: [0, 0], missing: [1000, 0] } as const
    const calls = Object.fromEntries(versions.map((v) => [v, figures[kind]]))
    this.mood = { ...rest, calls, ...(kind === 'missing' && { missing: 'A router cannot be asked.' }) }
  }

  #check(name: 'golden' | 'shadow', verdict: CheckResult['verdict'], late: boolean): void {
    const { candidate } = this.world.rollout
    if (candidate === undefined) return
    const attempt = late ? candidate.attempt + 1 : candidate.attempt
    this.mood = {
      ...this.mood,
      [name]: { revision: candidate.revision, attempt, verdict, message: `It says ${verdict}.` },
    }
  }

  #plan(controller: number): void {
    const due = intents(this.world, this.mood, this.#report)
    this.#pending[controller] = due[this.world.now % Math.max(1, due.length)] ?? due[0]
  }

  #perform(controller: number): void {
    const intent = this.#pending[controller]
    this.#pending[controller] = undefined
    if (intent !== undefined) this.world = perform(this.world, intent, this.#report)
  }

  #lose(what: 'revision' | 'workload', lost: number): void {
    const { workloads, revisions } = this.world
    if (what === 'revision') {
      // Those in use are kept by their pods; what is lost can be resolved again.
      this.world = { ...this.world, revisions: revisions.filter((v) => v !== lost) }
      return
    }
    const { [lost]: _gone, ...rest } = workloads
    this.world = { ...this.world, workloads: rest }
  }

  #refuse(on: boolean): void {
    const { refusal: _gone, ...rest } = this.mood
    this.mood = on ? { ...rest, refusal: { reason: 'NameConflict', message: 'A name is taken.' } } : rest
  }
}
