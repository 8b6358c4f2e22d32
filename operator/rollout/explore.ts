// Every state that the real reducer can get into, for small bounds: explicit-state search over world.ts.
// It looks for broken invariants, and for states from which no settled one can be reached without a further fault.
// `npm run explore` runs it at length; explore.test.ts at small bounds, and without each part of the protocol.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { Violation } from './invariants.ts'
import type { Calls, Command } from './observed.ts'
import { intentKey, Keys, type Node } from './statekeys.ts'
import { Ints } from './ints.ts'
import { type Intent, intents, perform } from './intents.ts'
import { type Faults, type Mood, type World, isSettled, nameOf, pull, serving, withReady, withTarget } from './world.ts'

export interface Bounds {
  readonly spec: ModelDeploymentSpec
  readonly versions: number
  readonly routers: number
  readonly controllers: number
  /** How often the spec changes its version. */
  readonly edits: number
  /** How often a pod is lost. */
  readonly losses: number
  /** How often a router pod is replaced by one that has applied nothing. */
  readonly replacements: number
  /** How often an hour passes: every deadline, and keepPreviousFor. */
  readonly hours: number
  /** The commands that a person may give, each once, at any moment. */
  readonly commands: readonly Extract<Command, { kind: 'Order' }>[]
  readonly faults: Faults
  /** The search ends here, unfinished. */
  readonly maxStates: number
  /** It also ends at the first broken invariant. */
  readonly untilBroken?: boolean
}

export interface Found {
  readonly states: number
  readonly transitions: number
  readonly complete: boolean
  /** The shortest way to each broken invariant, in words. */
  readonly violations: readonly { readonly violation: Violation; readonly path: readonly string[] }[]
  /** How many states cannot settle any more, and the way to one of them. Only known when complete. */
  readonly stuck: { readonly count: number; readonly path: readonly string[] }
  /** Every edge of the reducer that was taken, as `from → to`. */
  readonly edges: ReadonlySet<string>
}

interface Plan {
  readonly label: string
  readonly intent: Intent
}

interface Step {
  readonly label: string
  readonly node: Node
  /** Something that need not happen; what is reached only so does not count for settling. */
  readonly fault: boolean
}

/** What users may find of the candidate: enough and good, enough and bad, none at all, or another share of it. */
const findings: readonly { readonly words: string; readonly calls?: Calls; readonly astray?: boolean }[] = [
  { words: 'good figures', calls: { requests: 1000, failures: 0 } },
  { words: 'bad figures', calls: { requests: 1000, failures: 900 } },
  { words: 'no request' },
  { words: 'wrong shares', calls: { requests: 1000, failures: 0 }, astray: true },
]

export const explore = (bounds: Bounds, progress?: (states: number, transitions: number) => void): Found => {
  const search = new Search(bounds)
  return search.run(progress)
}

class Search {
  readonly #bounds: Bounds
  readonly #indexes = new Map<string, number>()
  readonly #queue: (Node | undefined)[] = []
  readonly #parents: number[] = []
  readonly #labels: string[] = []
  readonly #settled: number[] = []
  readonly #from = new Ints()
  readonly #to = new Ints()
  readonly #violations = new Map<string, { violation: Violation; path: readonly string[] }>()
  readonly #edges = new Set<string>()
  readonly #keys = new Keys()
  readonly #planned = new WeakMap<World, { readonly command?: Node['command']; readonly plans: readonly Plan[] }>()
  #transitions = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  run(progress?: (states: number, transitions: number) => void): Found {
    const { controllers, edits, losses, replacements, hours, commands, maxStates, untilBroken } = this.#bounds
    const pending = Array.from({ length: controllers }, () => undefined)
    const world = serving(this.#bounds.spec, this.#bounds.routers)
    this.#visit({ world, pending, edits, losses, replacements, hours, commands }, -1, 'start')
    let at = 0
    const isOver = () => this.#queue.length >= maxStates || (untilBroken === true && this.#violations.size > 0)
    for (; at < this.#queue.length && !isOver(); at++) {
      const node = this.#queue[at]
      if (node === undefined) continue
      for (const { label, node: then, fault } of this.#steps(node, at)) {
        this.#transitions++
        const to = this.#visit(then, at, label)
        if (fault) continue
        this.#from.push(at)
        this.#to.push(to)
      }
      // Only its number is needed from here on.
      this.#queue[at] = undefined
      if (at % 50_000 === 0) progress?.(this.#queue.length, this.#transitions)
    }
    const complete = at === this.#queue.length
    return {
      states: this.#queue.length,
      transitions: this.#transitions,
      complete,
      violations: Array.from(this.#violations.values()),
      stuck: complete ? this.#stuck() : { count: 0, path: [] },
      edges: this.#edges,
    }
  }

  #visit(node: Node, parent: number, label: string): number {
    const key = this.#keys.of(node)
    const known = this.#indexes.get(key)
    if (known !== undefined) return known
    const index = this.#queue.length
    this.#indexes.set(key, index)
    this.#queue.push(node)
    this.#parents.push(parent)
    this.#labels.push(label)
    const rests = isSettled(node.world) || waitsForPerson(node.world)
    if (rests && node.pending.every((intent) => intent === undefined)) this.#settled.push(index)
    return index
  }

  #steps(node: Node, at: number): Step[] {
    const { versions, routers, faults } = this.#bounds
    const { world } = node
    const steps: Step[] = []
    const step = (label: string, changed: Partial<Node>, fault = false): void => {
      const next = { ...node, ...changed }
      if (changed.world !== node.world || Object.keys(changed).length > 1) steps.push({ label, node: next, fault })
    }
    for (let v = 1; v <= versions; v++) {
      const live = world.workloads[v]
      if (node.edits > 0 && v !== world.target)
        step(`the spec asks for v${v}`, { world: withTarget(world, v), edits: node.edits - 1 }, true)
      if (live === undefined) continue
      if (live.ready < live.replicas) step(`a pod of v${v} is ready`, { world: withReady(world, v, live.ready + 1) })
      if (live.ready > 0 && node.losses > 0)
        step(`a pod of v${v} is lost`, { world: withReady(world, v, live.ready - 1), losses: node.losses - 1 }, true)
    }
    for (let r = 0; r < routers; r++) {
      const name = `router ${r}`
      step(`${name} applies what is wanted`, { world: pull(world, r, world.rollout.traffic, faults) })
      // A new router's first list is a consistent read; only a watch can lag behind.
      if (world.routers[r] !== undefined)
        step(`${name} applies what was wanted before`, { world: pull(world, r, world.lastTraffic, faults) }, true)
      if (node.replacements > 0 && world.routers[r] !== undefined) {
        const replaced = world.routers.map((applied, i) => (i === r ? undefined : applied))
        step(
          `${name} is replaced`,
          { world: { ...world, routers: replaced }, replacements: node.replacements - 1 },
          true,
        )
      }
    }
    if (node.hours > 0)
      step('an hour passes', { world: { ...world, now: world.now + 3_600_000 }, hours: node.hours - 1 })
    for (const command of node.commands)
      step(
        `a person says ${command.op} ${command.candidate}`,
        { world, command, commands: node.commands.filter((c) => c !== command) },
        true,
      )
    node.pending.forEach((intent, i) => this.#controller(node, intent, i, at, step))
    return steps
  }

  #controller(
    node: Node,
    intent: Intent | undefined,
    i: number,
    at: number,
    step: (label: string, changed: Partial<Node>, fault?: boolean) => void,
  ): void {
    const { world } = node
    const put = (next: Intent | undefined) => node.pending.map((old, j) => (i === j ? next : old))
    if (intent !== undefined) {
      const label = `controller ${i} ${words(intent)}`
      const report = this.#reporter(at, label)
      step(label, { world: perform(world, intent, report, this.#bounds.faults), pending: put(undefined) })
      step(`controller ${i} dies before it ${words(intent)}`, { world, pending: put(undefined) }, true)
      return
    }
    for (const { label, intent: next } of this.#plans(node, at))
      step(`controller ${i} ${label}`, { world, pending: put(next) })
  }

  /** What a controller may decide in a world. Nodes that differ in what is pending alone share it. */
  #plans(node: Node, at: number): readonly Plan[] {
    const { world, command } = node
    const known = this.#planned.get(world)
    if (known?.command === command && known !== undefined) return known.plans
    const decided = new Map<string, Plan>()
    for (const finding of findings) {
      const label = `sees ${finding.words}`
      const report = this.#reporter(at, `a controller ${label}`)
      for (const intent of intents(world, this.#mood(node, finding), report, this.#bounds.faults)) {
        const key = intentKey(intent, world)
        if (decided.has(key)) continue
        decided.set(key, { label: `${label} and will ${words(intent)}`, intent })
        if (intent.kind === 'status')
          for (const { from, to } of intent.next.transitions) this.#edges.add(`${from} → ${to}`)
      }
    }
    const plans = Array.from(decided.values())
    this.#planned.set(world, { ...(command && { command }), plans })
    return plans
  }

  #mood({ world, command }: Node, { calls, astray }: (typeof findings)[number]): Mood {
    const asked = world.rollout.candidate?.hash ?? world.rollout.stable?.hash ?? '1'
    return {
      calls: calls === undefined ? {} : { [Number(asked)]: [calls.requests, calls.failures] },
      ...(astray === true && { astray }),
      ...(command && { command }),
    }
  }

  #reporter(at: number, label: string): (violation: Violation) => void {
    return (violation) => {
      const key = `${violation.invariant} ${violation.message.replaceAll(/\d+/g, '#')}`
      if (!this.#violations.has(key)) this.#violations.set(key, { violation, path: [...this.#path(at), label] })
    }
  }

  #path(index: number): string[] {
    const path: string[] = []
    for (let i = index; i > 0; i = this.#parents[i] ?? 0) path.push(this.#labels[i] ?? '')
    return path.toReversed()
  }

  /** Backwards from the settled states along everything that is no fault: what is not met cannot settle. */
  #stuck(): Found['stuck'] {
    const count = this.#queue.length
    const first = new Int32Array(count).fill(-1)
    const next = new Int32Array(this.#to.length)
    for (let e = 0; e < this.#to.length; e++) {
      const to = this.#to.at(e)
      next[e] = first[to] ?? -1
      first[to] = e
    }
    const meets = new Uint8Array(count)
    const stack = [...this.#settled]
    for (const i of stack) meets[i] = 1
    for (let i = stack.pop(); i !== undefined; i = stack.pop())
      for (let e = first[i] ?? -1; e >= 0; e = next[e] ?? -1) {
        const from = this.#from.at(e)
        if (meets[from] === 1) continue
        meets[from] = 1
        stack.push(from)
      }
    const lost = meets.indexOf(0)
    return lost < 0
      ? { count: 0, path: [] }
      : { count: meets.reduce((sum, met) => sum + 1 - met, 0), path: this.#path(lost) }
  }
}

/** Held by a command, or at a gate: nothing is to happen until a person says so. */
const waitsForPerson = ({ rollout: { candidate } }: World): boolean =>
  candidate !== undefined && (candidate.pausedBy !== undefined || candidate.substep === 'Gate')

const words = (intent: Intent): string => {
  switch (intent.kind) {
    case 'status': {
      const [transition] = intent.next.transitions
      return transition === undefined ? 'writes the status' : `writes ${transition.from} → ${transition.to}`
    }
    case 'resolve':
      return `resolves v${intent.revision}`
    case 'apply':
      return `scales v${intent.revision} to ${intent.replicas}`
    default:
      return `deletes v${intent.revision}`
  }
}

export const orderOf = (op: string, version: number): Extract<Command, { kind: 'Order' }> => ({
  kind: 'Order',
  id: `${op}-${version}`,
  op,
  candidate: nameOf(version),
  reason: 'because',
  by: 'kate',
})
