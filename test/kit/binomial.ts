// Counts that chance makes: how far a share may lie from what was asked, and how odd a count is. Exact and pure.

/** The logarithm of each count's probability. */
const logProbabilities = (n: number, p: number): Float64Array => {
  const logs = new Float64Array(n + 1)
  const odds = Math.log(p) - Math.log1p(-p)
  logs[0] = n * Math.log1p(-p)
  for (let k = 1; k <= n; k += 1) logs[k] = (logs[k - 1] ?? 0) + Math.log((n - k + 1) / k) + odds
  return logs
}

/**
 * The counts between which all but `alpha` of the draws lie; at most half of that lies on either side.
 * @param p above 0 and below 1
 */
export const countInterval = (n: number, p: number, alpha: number): readonly [low: number, high: number] => {
  const logs = logProbabilities(n, p)
  const end = (counts: Iterable<number>): number => {
    let beyond = 0
    for (const k of counts) {
      beyond += Math.exp(logs[k] ?? -Infinity)
      if (beyond > alpha / 2) return k
    }
    throw new RangeError('probabilities add up to less than they have to')
  }
  return [end(logs.keys()), end([...logs.keys()].toReversed())]
}

/** How often chance alone gives a count that is as unlikely as this one, or more so. */
export const oddness = (hits: number, n: number, p: number): number => {
  const logs = logProbabilities(n, p)
  // Counts that are equally likely differ by rounding.
  const limit = (logs[hits] ?? -Infinity) + 1e-7
  return Math.min(
    1,
    logs.filter((log) => log <= limit).reduce((sum, log) => sum + Math.exp(log), 0),
  )
}
