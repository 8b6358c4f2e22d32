// One process of `npm run explore`: searches and random lives, one task after the other, as the main process sends them.
// No thread: see docs/decisions/0300.
import fc from 'fast-check'
import { type Found, explore } from '../../operator/rollout/explore.ts'
import { type Life, lives } from '../../operator/rollout/fuzz.ts'
import { Player } from '../../operator/rollout/player.ts'
import { boundsOf, searches } from './searches.ts'

export type Task =
  | { readonly kind: 'search'; readonly name: string; readonly maxStates: number }
  | { readonly kind: 'fuzz'; readonly seed: number; readonly count: number }

export interface Searched extends Omit<Found, 'edges'> {
  readonly name: string
  readonly edges: readonly string[]
  readonly seconds: number
}

export interface Fuzzed {
  readonly seed: number
  readonly count: number
  /** The shortest life that broke something, as fast-check reports it; unset where nothing was. */
  readonly report?: string
}

export type Answer =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'searched'; readonly found: Searched }
  | { readonly kind: 'fuzzed'; readonly found: Fuzzed }

const searched = ({ name, maxStates }: Extract<Task, { kind: 'search' }>, say: (text: string) => void): Searched => {
  const search = searches.find((known) => known.name === name)
  if (search === undefined) throw new Error(`there is no search "${name}"`)
  const began = performance.now()
  const found = explore(boundsOf(search, maxStates), (states) => say(`${name}: ${states.toLocaleString('en')} states`))
  return { ...found, name, edges: Array.from(found.edges), seconds: Math.round((performance.now() - began) / 1000) }
}

const fuzzed = ({ seed, count }: Extract<Task, { kind: 'fuzz' }>, say: (text: string) => void): Fuzzed => {
  let lived = 0
  const property = fc.property(lives, (life) => {
    live(life)
    if (++lived % 1000 === 0) say(`seed ${seed}: ${lived.toLocaleString('en')} random lives`)
  })
  const result = fc.check(property, { numRuns: count, seed })
  return { seed, count, ...(result.failed && { report: fc.defaultReportMessage(result) ?? 'it failed' }) }
}

/** @throws when an invariant breaks at any step, or when it does not settle */
const live = ({ events, ...beginning }: Life): void => {
  const player = new Player(beginning)
  const ask = (): void => {
    if (player.violations.length > 0) throw new Error(JSON.stringify(player.violations))
  }
  for (const event of events) {
    player.play(event)
    ask()
    if (!player.historyAgrees()) throw new Error('the history says otherwise than the status')
  }
  if (!player.calm()) throw new Error(`it does not settle: ${JSON.stringify(player.world.rollout)}`)
  ask()
  const { rollout } = player.world
  player.look(5)
  if (player.world.rollout !== rollout) throw new Error('it was settled, and a look changed it')
}

process.on('message', (task: Task) => {
  const answer = (message: Answer): void => void process.send?.(message)
  const say = (text: string): void => answer({ kind: 'progress', text })
  if (task.kind === 'search') answer({ kind: 'searched', found: searched(task, say) })
  else answer({ kind: 'fuzzed', found: fuzzed(task, say) })
})
