// What every benchmark needs to tell its figures: quantiles, a table, the machine. Pure but for the look at the machine.
import { cpus, loadavg, totalmem } from 'node:os'

/** The smallest sample that at least this share does not exceed. @param sorted ascending */
export const quantile = (sorted: readonly number[], share: number): number | undefined =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]

export const ascending = (samples: readonly number[]): readonly number[] => samples.toSorted((a, b) => a - b)

export const median = (samples: readonly number[]): number => quantile(ascending(samples), 0.5) ?? NaN

export const p99 = (samples: readonly number[]): number => quantile(ascending(samples), 0.99) ?? NaN

/**
 * How fast something grows: the median of the slopes between all pairs of points, as a share of the median level for each
 * unit of `at`. Neither a collection of garbage nor one step moves it; what grows without end does. NaN for fewer than two.
 * @see https://doi.org/10.1080/01621459.1968.10480934
 */
export const relativeSlope = (points: readonly { readonly at: number; readonly value: number }[]): number => {
  const slopes = points.flatMap((from, index) =>
    points.slice(index + 1).map((to) => (to.value - from.value) / (to.at - from.at)),
  )
  return median(slopes) / median(points.map(({ value }) => value))
}

export const round = (value: number, digits = 3): number => Math.round(value * 10 ** digits) / 10 ** digits

/** Rows as lines, each column as wide as its widest cell. */
export const columns = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return rows.map(line).join('\n')
}

export const machineNow = () => ({
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  memoryGib: Math.round(totalmem() / 2 ** 30),
  loadAverage: loadavg(),
})

/** Goals that were not measured now, from an earlier run of other parts. */
export const completed = <T extends { readonly name: string; readonly value: number | null }>(
  goals: readonly T[],
  earlier: readonly T[],
): T[] =>
  goals.map((one) =>
    one.value === null ? (earlier.find(({ name, value }) => name === one.name && value !== null) ?? one) : one,
  )
