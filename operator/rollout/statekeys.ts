// What tells two states of a search apart. Numbers that only rise (epochs, rollouts, versions of objects) count from the
// present one, and what no decision looks at (words, the history, when a state was entered) is left out. Test-only.
import type { Candidate, Rejection } from '../api/modeldeployment.ts'
import type { Command } from './observed.ts'
import type { Traffic } from './traffic.ts'
import { type Intent } from './intents.ts'
import { start, type World } from './world.ts'

/** One state of a search: the world, what its controllers are about to do, and how much may still happen. */
export interface Node {
  readonly world: World
  readonly pending: readonly (Intent | undefined)[]
  readonly edits: number
  readonly losses: number
  readonly replacements: number
  readonly hours: number
  readonly commands: readonly Extract<Command, { kind: 'Order' }>[]
  readonly command?: Command
}

/** Keys of nodes. Worlds and intents are numbered once each: most nodes share theirs with others. */
export class Keys {
  readonly #numbers = new Map<string, number>()
  readonly #worlds = new WeakMap<World, number>()
  readonly #statuses = new WeakMap<Intent, number>()
  readonly #rollouts = new WeakMap<World['rollout'], string>()

  of({ world, pending, edits, losses, replacements, hours, commands, command }: Node): string {
    const due = pending.map((intent) => (intent === undefined ? '' : this.#ofIntent(intent, world))).join('+')
    const left = `${edits}.${losses}.${replacements}.${hours}.${commands.length}`
    return `${this.#ofWorld(world)} ${left} ${due} ${command?.id ?? ''}`
  }

  #ofWorld(world: World): number {
    const known = this.#worlds.get(world)
    if (known !== undefined) return known
    const number = this.#number(digest(worldKey(world, this.#ofRollout(world.rollout))))
    this.#worlds.set(world, number)
    return number
  }

  /** Of a rollout by itself; pods and routers change far more often than it does. */
  #ofRollout(rollout: World['rollout']): string {
    const known = this.#rollouts.get(rollout)
    if (known !== undefined) return known
    const key = rolloutKey(rollout, rollout)
    this.#rollouts.set(rollout, key)
    return key
  }

  #ofIntent(intent: Intent, world: World): string {
    if (intent.kind !== 'status') return intentKey(intent, world)
    if (intent.objectVersion !== world.objectVersion) return 'stale'
    // What it is compared with, the status that it was made from, is still there: it means the same for as long.
    const known = this.#statuses.get(intent)
    if (known !== undefined) return `${known}`
    const number = this.#number(digest(intentKey(intent, world)))
    this.#statuses.set(intent, number)
    return `${number}`
  }

  #number(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.#numbers.size)
    return this.#numbers.size - 1
  }
}

const worldKey = (world: World, rollout: string): string =>
  [
    world.target,
    rollout,
    trafficKey(world.lastTraffic, world.rollout),
    world.revisions.toSorted((a, b) => a - b).join(','),
    workloadsKey(world),
    world.routers.map((r) => trafficKey(r, world.rollout)).join('/'),
  ].join(' ')

const rolloutKey = (rollout: World['rollout'], base: World['rollout']): string => {
  const { stable, previous, candidate, rejected, traffic, lastCommand } = rollout
  const rank = (n: number | undefined) => (n === undefined ? '' : (base.rollouts ?? 0) - n)
  return [
    stable && `${stable.hash}.${rank(stable.rollout)}`,
    previous && `${previous.hash}.${rank(previous.rollout)}.${hour(previous.expiresAt)}`,
    candidate && candidateKey(candidate, rank(candidate.rollout)),
    rejected?.map(rejectionKey).join(','),
    trafficKey(traffic, base),
    lastCommand?.id,
    rank(rollout.rollouts),
  ].join('|')
}

const candidateKey = (c: Candidate, rank: number | string): string =>
  [
    c.hash,
    rank,
    c.attempt,
    c.state,
    c.substep,
    c.stepWeight,
    c.replicas,
    c.stableReplicas,
    c.readyReplicas,
    c.back,
    c.pausedBy,
    c.outcome?.rejected,
    c.outcome?.reason,
    hour(c.deadlineAt),
    hour(c.endsBy),
    hour(c.ackedAt),
    hour(c.stableDownAt),
    hour(c.retryAt),
  ].join(',')

const rejectionKey = (r: Rejection): string =>
  `${r.hash}.${r.attempt}.${r.reason}.${r.rearmed === true}.${hour(r.retryAt)}`

const hour = (instant: string | undefined): string =>
  instant === undefined ? '' : `${(Date.parse(instant) - start) / 60_000}`

const trafficKey = (setting: Traffic | undefined, base: World['rollout']): string =>
  setting === undefined
    ? '-'
    : `${(base.traffic?.epoch ?? 0) - setting.epoch}:${setting.weights.map((w) => `${w.revision}=${w.weight}`).join(',')}${setting.mirror?.revision ?? ''}`

const workloadsKey = ({ workloads, rollout }: World): string =>
  Object.entries(workloads)
    .map(([v, { replicas, ready, stamp }]) => `${v}:${replicas}.${ready}.${(rollout.rollouts ?? 0) - (stamp ?? 0)}`)
    .join('/')

/** What a controller is about to do, as far as it differs in its effect. */
export const intentKey = (intent: Intent, world: World): string => {
  switch (intent.kind) {
    case 'status': {
      const stale = intent.objectVersion !== world.objectVersion
      return stale ? 'stale' : `status ${rolloutKey(intent.next.rollout, world.rollout)}`
    }
    case 'resolve':
      return `resolve ${intent.revision}`
    default: {
      const current = (world.workloads[intent.revision]?.version ?? 0) === intent.version
      const what =
        intent.kind === 'delete'
          ? 'delete'
          : `apply ${intent.replicas} ${(world.rollout.rollouts ?? 0) - (intent.stamp ?? 0)}`
      return `${what} ${intent.revision} ${current}`
    }
  }
}

/** 106 bits of the text, in two halves: a million states collide once in 10^20 searches, and take little memory. */
const digest = (text: string): string => {
  let [a, b, c, d] = [0x811c9dc5, 0x01000193, 0xdeadbeef, 0x41c6ce57]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x5bd1e995)
    c = Math.imul(c ^ code, 2_654_435_761)
    d = Math.imul(d ^ code, 1_597_334_677)
    b ^= b >>> 15
    d ^= d >>> 13
  }
  return String.fromCharCode(a & 0xffff, a >>> 16, b & 0xffff, b >>> 16, c & 0xffff, c >>> 16, d & 0xffff, d >>> 16)
}
