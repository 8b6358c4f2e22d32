// The interval of a share that was measured by counting. Pure.

/** From 0 to 1, both ends included. */
export interface Interval {
  readonly low: number
  readonly high: number
}

/**
 * The exact (Clopper-Pearson) interval of a binomial share: whatever the true share is, at least `1 - alpha` of all
 * intervals made this way hold it. Never too narrow, also for shares near 0 and few requests.
 *
 * @param hits how many of `n`
 * @param n at least 1
 * @see C. J. Clopper, E. S. Pearson, Biometrika 26 (1934), 404-413
 */
export const shareInterval = (hits: number, n: number, alpha: number): Interval => ({
  low: hits === 0 ? 0 : betaQuantile(alpha / 2, hits, n - hits + 1),
  high: hits === n ? 1 : betaQuantile(1 - alpha / 2, hits + 1, n - hits),
})

/** Where the cumulative beta distribution reaches `p`, by halving: it rises, so nothing can go astray. */
const betaQuantile = (p: number, a: number, b: number): number => {
  let [below, above] = [0, 1]
  // Halving until no number lies between.
  for (;;) {
    const middle = (below + above) / 2
    if (middle <= below || middle >= above) return middle
    if (regularizedBeta(middle, a, b) < p) below = middle
    else above = middle
    // Shares are told with six digits.
    if (above - below < 1e-12) return middle
  }
}

/**
 * The regularized incomplete beta function I_x(a, b), by its continued fraction.
 * @see https://dlmf.nist.gov/8.17#v
 */
const regularizedBeta = (x: number, a: number, b: number): number => {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast on this side of the mean only; the other side is its mirror image.
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(1 - x, b, a)
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b)) / a
  return front * continuedFraction(x, a, b)
}

/** Evaluated by Lentz's algorithm; it takes some sqrt(max(a, b)) terms. */
const continuedFraction = (x: number, a: number, b: number): number => {
  const tiny = 1e-300
  const away = (value: number): number => (Math.abs(value) < tiny ? tiny : value)
  let c = 1
  let d = 1 / away(1 - ((a + b) * x) / (a + 1))
  let fraction = d
  for (let m = 1; m < 1_000_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / away(1 + even * d)
    c = away(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / away(1 + odd * d)
    c = away(1 + odd / c)
    const change = d * c
    fraction *= change
    if (Math.abs(change - 1) < 1e-14) break
  }
  return fraction
}

const logBeta = (a: number, b: number): number => logGamma(a) + logGamma(b) - logGamma(a + b)

/** Stirling's series, after moving up to where it is exact to 15 digits. @see https://dlmf.nist.gov/5.11#E1 */
const logGamma = (x: number): number => {
  let shift = 0
  let y = x
  while (y < 12) shift -= Math.log(y++)
  const inverse = 1 / y
  const square = inverse * inverse
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
  return shift + (y - 0.5) * Math.log(y) - y + 0.5 * Math.log(2 * Math.PI) + series
}
