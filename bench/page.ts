// npm run bench:page: writes docs/benchmarks.md and its plots from the results in bench/results/. No figure of
// the page is typed. What a result means, or why a goal is missed, is in bench/results/notes.md, which the page takes in.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { round } from './figures.ts'
import { runtimeSection } from './runtime/section.ts'

/** What every benchmark writes with `--json`, as far as the page needs it. */
export interface Results {
  /** The name after `bench:`; of older files the name of the file. */
  readonly bench?: string
  readonly at?: string
  readonly quick?: boolean
  readonly parts?: readonly string[]
  readonly machine: {
    /** The mean number of processes that wanted a core in the minute before. */
    readonly loadAverage?: readonly number[]
    readonly cpu?: string
    readonly cores: number
    readonly memoryGib?: number
    readonly node?: string
  }
  readonly versions?: Readonly<Record<string, string | undefined>>
  readonly goals: readonly {
    readonly name: string
    readonly value: number | null
    readonly low: number | null
    readonly high: number | null
    readonly op: string
    readonly target: number | null
    readonly met: boolean
    readonly reason?: string
  }[]
  readonly samples?: unknown
}

/** A section of the page: text, and the plots that it names. */
export interface Section {
  readonly text: string
  /** SVG by file name. */
  readonly plots: Readonly<Record<string, string>>
}

/** Sections that show more than goals, by benchmark. */
const more: Readonly<Record<string, (results: Results) => Section>> = { runtime: runtimeSection }

const root = join(import.meta.dirname, '..')
const folder = join(root, 'bench/results')

export function render(files: readonly { readonly name: string; readonly results: Results }[], notes: string): Section {
  const sections = files.map(({ name, results }) => section(name, results))
  const text = [
    '# Benchmarks',
    '',
    'Written by `npm run bench:page` from the files in [bench/results](../bench/results); every figure was measured by the',
    'command that its section names. Ratios compare servers of one run on one machine; absolute figures hold for that',
    'machine only.',
    '',
    ...(notes === '' ? [] : [notes.trim(), '']),
    ...sections.map((each) => each.text),
  ].join('\n')
  return { text, plots: Object.assign({}, ...sections.map(({ plots }) => plots)) as Record<string, string> }
}

function section(name: string, results: Results): Section {
  const { bench = name, at, quick, parts, machine, versions = {}, goals } = results
  const options = [
    ...(parts === undefined ? [] : [`--parts ${parts.join(',')}`]),
    ...(quick === true ? ['--quick'] : []),
  ]
  const command = `npm run bench:${bench}${options.length === 0 ? '' : ` -- ${options.join(' ')}`}`
  const told = Object.entries(versions).flatMap(([key, version]) => (version === undefined ? [] : `${key}: ${version}`))
  const show = (value: number | null): string => (value === null ? '-' : String(round(value)))
  const rows = goals.map(({ name: goal, value, low, high, op, target, met, reason }) =>
    [
      `\`${goal}\``,
      show(value),
      value === null ? '-' : `${show(low)} to ${show(high)}`,
      target === null ? op : `${op} ${target}`,
      `${met ? 'yes' : 'no'}${reason === undefined ? '' : `: ${reason.replaceAll('|', '/').replaceAll('\n', ' ')}`}`,
    ].join(' | '),
  )
  const extra = more[bench]?.(results)
  const size = machine.memoryGib === undefined ? '' : `, ${machine.memoryGib} GiB`
  const [load] = machine.loadAverage ?? []
  const busy = load === undefined ? '' : ` Load average when it began: ${round(load, 1)}.`
  const text = [
    `## ${name}`,
    '',
    `\`${command}\`${at === undefined ? '' : `, ${at.slice(0, 10)}`}, on ${machine.cores} × ${machine.cpu ?? 'unknown'}${size}.${busy}`,
    ...(told.length === 0 ? [] : ['', `Versions: ${told.join('; ')}.`]),
    '',
    '| goal | value | rounds | target | met |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
    ...(extra === undefined ? [] : [extra.text, '']),
  ].join('\n')
  return { text, plots: extra?.plots ?? {} }
}

/** Files by the path below the root. */
function rendered(): Readonly<Record<string, string>> {
  if (!existsSync(folder)) return {}
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
  const files = names.map((name) => ({
    name: name.replace(/\.json$/, ''),
    results: JSON.parse(readFileSync(join(folder, name), 'utf8')) as Results,
  }))
  const notes = join(folder, 'notes.md')
  const { text, plots } = render(files, existsSync(notes) ? readFileSync(notes, 'utf8') : '')
  const pictures = Object.entries(plots).map(([name, svg]) => [`docs/benchmarks/${name}`, svg])
  return { 'docs/benchmarks.md': `${text.trimEnd()}\n`, ...(Object.fromEntries(pictures) as Record<string, string>) }
}

/** The files that are not as the results say, with what they should be. */
export const stale = (): readonly (readonly [path: string, content: string])[] =>
  Object.entries(rendered()).filter(([path, content]) => {
    const file = join(root, path)
    return !existsSync(file) || readFileSync(file, 'utf8') !== content
  })

if (import.meta.main) {
  mkdirSync(join(root, 'docs/benchmarks'), { recursive: true })
  for (const [path, content] of stale()) writeFileSync(join(root, path), content)
}
