// `npm run explore`: the real rollout reducer in every state that it can get into within bounds, and, with --fuzz N,
// in N random lives beyond them. Prints a table to stdout, progress to stderr, and writes JSON with --json FILE.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { type Bounds, type Found, explore, orderOf } from '../operator/rollout/explore.ts'
import { type Life, lives } from '../operator/rollout/fuzz.ts'
import { Player } from '../operator/rollout/player.ts'
import { transitions } from '../operator/rollout/transitions.ts'
import { routerSpec } from '../operator/rollout/world.ts'

const { values } = parseArgs({
  options: {
    fuzz: { type: 'string', default: '0' },
    seed: { type: 'string' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    'max-states': { type: 'string', default: '4000000' },
    json: { type: 'string' },
  },
})

const canary = routerSpec({ strategy: 'Canary', steps: [{ weight: 50, minDuration: '0s' }] }, { replicas: 1 })
const base: Bounds = {
  spec: canary,
  versions: 2,
  routers: 2,
  controllers: 2,
  edits: 1,
  losses: 0,
  replacements: 0,
  hours: 0,
  commands: [],
  faults: {},
  maxStates: Number(values['max-states']),
}

interface Search {
  readonly name: string
  readonly bounds: Partial<Bounds>
  /** Short enough for --quick. */
  readonly quick?: boolean
}

/** What each search bounds, so that all of it together is some minutes on one core. */
const searches: readonly Search[] = [
  { name: 'canary: 2 controllers, 3 versions, 2 edits, a pod lost', bounds: { versions: 3, edits: 2, losses: 1 } },
  { name: 'canary: 2 controllers, 2 edits, an hour, a pod lost', bounds: { edits: 2, losses: 1, hours: 1 } },
  { name: 'canary: 2 controllers, a router replaced', bounds: { replacements: 1 }, quick: true },
  {
    name: 'canary: abort, promote, rollback at any moment',
    bounds: { controllers: 1, commands: ['abort', 'promote', 'rollback'].map((op) => orderOf(op, 2)) },
    quick: true,
  },
  {
    name: 'canary in two steps of two pods: 3 versions, 2 edits, a pod lost',
    bounds: {
      spec: routerSpec(
        {
          strategy: 'Canary',
          steps: [
            { weight: 10, minDuration: '0s' },
            { weight: 60, minDuration: '0s' },
          ],
        },
        { replicas: 2 },
      ),
      controllers: 1,
      versions: 3,
      edits: 2,
      losses: 1,
    },
  },
  {
    name: 'blue-green: 2 controllers, 2 edits, an hour',
    bounds: { spec: routerSpec({ strategy: 'BlueGreen' }, { replicas: 1 }), edits: 2, hours: 1 },
  },
  {
    name: 'recreate: 2 controllers, 2 edits',
    bounds: { spec: routerSpec({ strategy: 'Recreate' }, { replicas: 1 }), edits: 2 },
    quick: true,
  },
  {
    // The longest: more than 2.5 million states.
    name: 'canary: 2 controllers, 3 versions, 2 edits, an hour, a pod lost',
    bounds: { versions: 3, edits: 2, losses: 1, hours: 1 },
  },
]

interface Line {
  readonly name: string
  readonly states: number
  readonly transitions: number
  readonly complete: boolean
  readonly violations: number
  readonly stuck: number
  readonly seconds: number
}

const searched = ({ name, bounds }: Search, edges: Set<string>): Line => {
  const began = performance.now()
  const found = explore({ ...base, ...bounds }, (states, taken) => {
    process.stderr.write(`\r${name}: ${states.toLocaleString()} states, ${taken.toLocaleString()} transitions`)
  })
  process.stderr.write('\r\u001b[K')
  for (const edge of found.edges) edges.add(edge)
  report(found)
  const { states, complete } = found
  return {
    name,
    states,
    transitions: found.transitions,
    complete,
    violations: found.violations.length,
    stuck: found.stuck.count,
    seconds: Math.round((performance.now() - began) / 1000),
  }
}

const report = ({ violations, stuck }: Found): void => {
  for (const { violation, path } of violations)
    console.log(`${violation.invariant}: ${violation.message}\n  ${path.join('\n  ')}`)
  if (stuck.count > 0) console.log(`${stuck.count} states cannot settle; one of them:\n  ${stuck.path.join('\n  ')}`)
}

/** @returns how many lives broke something; the shortest of them is printed with its seed. */
const fuzzed = (count: number): number => {
  let lived = 0
  const property = fc.property(lives, ({ events, ...beginning }: Life) => {
    const player = new Player(beginning)
    for (const event of events) {
      player.play(event)
      if (player.violations.length > 0) throw new Error(JSON.stringify(player.violations))
    }
    if (!player.calm()) throw new Error(`it does not settle: ${JSON.stringify(player.world.rollout)}`)
    if (player.violations.length > 0) throw new Error(JSON.stringify(player.violations))
    if (++lived % 1000 === 0) process.stderr.write(`\r${lived.toLocaleString()} lives`)
  })
  const result = fc.check(property, { numRuns: count, ...(values.seed !== undefined && { seed: Number(values.seed) }) })
  process.stderr.write('\r\u001b[K')
  console.log(
    `${count.toLocaleString()} random lives, seed ${result.seed}: ${result.failed ? 'broken' : 'nothing broken'}`,
  )
  if (result.failed) console.log(fc.defaultReportMessage(result))
  return result.failed ? 1 : 0
}

const edges = new Set<string>()
const chosen = searches.filter(
  ({ name, quick }) => (values.only === undefined || name.includes(values.only)) && (!values.quick || quick === true),
)
const lines = chosen.map((search) => searched(search, edges))
console.table(lines)
const sum = (of: (line: Line) => number): number => lines.reduce((all, line) => all + of(line), 0)
const states = sum((line) => line.states)
console.log(`${states.toLocaleString()} states, ${sum((line) => line.transitions).toLocaleString()} transitions in all`)
const table = Object.entries(transitions).flatMap(([from, to]) => Object.keys(to).map((place) => `${from} → ${place}`))
console.log(`${table.filter((edge) => edges.has(edge)).length} of the ${table.length} edges of the table were taken`)
const count = Number(values.fuzz)
const broken = count > 0 ? fuzzed(count) : 0

const goal = (name: string, value: number, op: '>=' | '<=', target: number) => ({
  name,
  value,
  low: value,
  high: value,
  op,
  target,
  met: op === '>=' ? value >= target : value <= target,
})
const goals = [
  goal('states', states, '>=', 1_000_000),
  goal(
    'violations',
    sum((line) => line.violations),
    '<=',
    0,
  ),
  goal(
    'stuck',
    sum((line) => line.stuck),
    '<=',
    0,
  ),
  goal('fuzz_sequences', count, '>=', 100_000),
]
if (values.json !== undefined)
  await writeFile(values.json, `${JSON.stringify({ node: process.version, searches: lines, goals }, null, 2)}\n`)
if (broken > 0 || lines.some((line) => line.violations > 0 || line.stuck > 0)) process.exitCode = 1
