// One life of a rollout in the world of world.ts, with two controllers: events are played, invariants are asked after
// each step, and at the end everything calms down. Test-only.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import { versions, type Beginning, type Event } from './events.ts'
import { placeOf } from './decision.ts'
import type { Violation } from './invariants.ts'
import type { CheckResult, Command } from './observed.ts'
import { isLeaving } from './states/leaving.ts'
import { weightOf } from './traffic.ts'
import { type Intent, intents, perform } from './intents.ts'
import {
  type Mood,
  type World,
  empty,
  isSettled,
  nameOf,
  pull,
  routerSpec,
  serving,
  withReady,
  withTarget,
} from './world.ts'

const minute = 60_000

export class Player {
  world: World
  mood: Mood = { calls: {} }
  readonly violations: Violation[] = []
  readonly #pending: (Intent | undefined)[] = [undefined, undefined]
  #ids = 1000

  constructor({ first, replicas, rollout }: Beginning) {
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

  #figures(kind: 'good' | 'bad' | 'few' | 'none' | 'missing' | 'astray'): void {
    const { missing: _gone, astray: _neither, ...rest } = this.mood
    const figures = {
      good: [1000, 0],
      bad: [1000, 500],
      few: [20, 0],
      none: [0, 0],
      missing: [1000, 0],
      astray: [1000, 0],
    } as const
    const calls = Object.fromEntries(versions.map((v) => [v, figures[kind]]))
    this.mood = {
      ...rest,
      calls,
      ...(kind === 'missing' && { missing: 'A router cannot be asked.' }),
      ...(kind === 'astray' && { astray: true }),
    }
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
