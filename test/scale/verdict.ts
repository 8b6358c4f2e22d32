// What a soak has shown: whether the operator held on to more and more, and whether it was really kept busy. Pure.
import { quantile } from '../../bench/figures.ts'
import { slopePercentPerHour, type Sample, type Soaked } from './soak.ts'

/** One thing that is judged: it must stay between the two, as far as they are given. */
export interface Figure {
  readonly what: string
  readonly value: number
  readonly least?: number
  readonly most?: number
  /** Why it failed, in a sentence; unset when it did not. */
  readonly failure?: string
}

export interface Expected {
  /** How long the changes lasted, in seconds. */
  readonly seconds: number
  /** Changes that must have been done in a second, faults and all. */
  readonly leastPerSecond: number
}

/** What is counted of an operator, how many it may have more than after the first minutes, and at most. */
const held = [
  // Sixteen connections for calls, which come and go with the load, the lease's, one for each watch, the two servers, and
  // our scrape.
  { what: 'sockets', resource: 'TCPSocketWrap', more: 12, most: 31 },
  // One or two for each connection.
  { what: 'timers', resource: 'Timeout', more: 25, most: 60 },
  { what: 'files', resource: 'files', more: 12, most: 80 },
] as const

/** A slope over a shorter time is the garbage collector's mood. */
const slopeSeconds = 1800
const mostSlope = 5
const mostGrowth = 1.2

/**
 * Medians of two times: after the first minutes, which fill caches, pools and the compiler's memory, and at the end. What is
 * held is compared while nothing disturbs: connections that are broken and made again are no growth. What leaks each five
 * seconds shows in three minutes, and what leaks each two minutes in an hour.
 */
export const judge = ({ changes, samples, ended }: Soaked, { seconds, leastPerSecond }: Expected): Figure[] => {
  const calm = samples.filter(({ disturbed }) => !disturbed)
  const [early, late] = [part(calm, 1 / 5, 2 / 5), part(calm, 4 / 5, 1)]
  const median = (some: readonly Sample[], of: (sample: Sample) => number): number =>
    quantile(
      some.map(of).toSorted((a, b) => a - b),
      0.5,
    ) ?? NaN
  const counts = held.map(({ what, resource, more, most }) => {
    const of = ({ resources }: Sample): number => resources[resource] ?? 0
    const before = median(early, of)
    return figure(what, median(late, of), { least: 1, most: Math.min(before + more, most) }, `${before} before`)
  })
  const rss = ({ rssMib }: Sample): number => rssMib
  const memory =
    seconds >= slopeSeconds
      ? figure('memory, % an hour', slopePercentPerHour(samples), { most: mostSlope })
      : figure(
          'memory, times that before',
          median(part(samples, 5 / 6, 1), rss) / median(part(samples, 1 / 3, 1 / 2), rss),
          { most: mostGrowth },
        )
  const rate = figure('changes a second', changes / seconds, { least: leastPerSecond })
  const end: Figure[] = ended === undefined ? [] : [{ what: 'end', value: 1, failure: `the operator ended: ${ended}` }]
  return [...counts, memory, rate, ...end]
}

/** Those from one share of the time to another. */
const part = (samples: readonly Sample[], from: number, to: number): readonly Sample[] =>
  samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to))

const figure = (
  what: string,
  value: number,
  { least, most }: { readonly least?: number; readonly most?: number },
  beside = '',
): Figure => {
  const bounds = { ...(least !== undefined && { least }), ...(most !== undefined && { most }) }
  const shown = `${what}: ${rounded(value)}${beside === '' ? '' : ` (${beside})`}`
  if (!(value <= (most ?? Infinity)))
    return { what, value, ...bounds, failure: `${shown}, and ${rounded(most ?? 0)} is the most that may be` }
  if (value < (least ?? -Infinity))
    return { what, value, ...bounds, failure: `${shown}, and ${rounded(least ?? 0)} is the least that must be` }
  return { what, value, ...bounds }
}

const rounded = (value: number): string => String(Math.round(value * 100) / 100)

/** One line for each figure, for people. */
export const inWords = (figures: readonly Figure[]): string =>
  figures
    .map(({ what, value, failure }) =>
      failure === undefined ? `ok      ${what}: ${rounded(value)}` : `NOT OK  ${failure}`,
    )
    .join('\n')
