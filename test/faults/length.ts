// How long the fault suite takes: minutes, so that it runs with every change, or, with SLIPWAY_FAULTS=long, as long as it
// takes to be sure.

const isLong = process.env['SLIPWAY_FAULTS'] === 'long'

/** How long each fault lasts. Longer than the lease's deadline, the API server's restart and a call's deadline when long. */
export const faultMs = isLong ? 30_000 : 1500
/** How long the API server is away from a router. */
export const outageMs = isLong ? 600_000 : 1000
/** Random runs: how many, and how long each. */
export const randomRuns = isLong ? 10 : 1
export const randomMs = isLong ? 60_000 : 12_000
/** The first seed of the random runs: SLIPWAY_FAULT_SEED, or the time when long, so that a change is judged and not luck. */
export const firstSeed = Number(process.env['SLIPWAY_FAULT_SEED'] ?? (isLong ? Date.now() % 1_000_000 : 1))
/** How long a test may take. */
export const testMs = 300_000 + faultMs + randomMs
/** At how many writes of a life through routers the operator is killed. Of those in mode Direct it is killed at all. */
export const routedDeaths = isLong ? Infinity : 8
/** Ways in which the API server is away for longer than the lease, beside the one that is always played. */
export const longOutages = isLong
  ? ([
      ['is half-open', { fault: 'halfOpen' }, { fault: 'halfOpen' }],
      ['breaks every connection', { fault: 'reset' }, { fault: 'reset' }],
      ['has errors only', { fault: 'status', code: 500 }, { fault: 'status', code: 503 }],
    ] as const)
  : []
/** How many kinds of faults are played each by itself. */
export const mostKinds = isLong ? Infinity : 3
