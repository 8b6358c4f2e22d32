// Faults at random times of a random kind, wholly given by a seed. Pure.
import type { Asked } from './asked.ts'
import type { Rule } from './fault.ts'
import { pick, seeded } from './random.ts'

export interface Episode {
  /** From the start of the run. */
  readonly atMs: number
  readonly forMs: number
  /** For the log of a run. */
  readonly name: string
  readonly rules: readonly Rule[]
  /** Whether all connections break when it begins. */
  readonly cuts: boolean
}

/** Everything but the lease: a leader that cannot renew ends, which is another test. */
export const beyondLeases = ({ resource }: Asked): boolean => !resource.startsWith('leases.')

type Kind = (random: () => number) => { readonly rules: readonly Rule[]; readonly cuts?: boolean }

const share = (random: () => number): number => 0.2 + 0.8 * random()

/** Every fault that the proxy plays, by the name that a log shows. */
export const kinds: Readonly<Record<string, Kind>> = {
  delays: (random) => ({ rules: [{ fault: { fault: 'delay', ms: 50 + 950 * random() } }] }),
  'too many requests': (random) => ({
    rules: [{ fault: { fault: 'status', code: 429, retryAfterSeconds: 1 }, share: share(random) }],
  }),
  'too many requests, without a time': (random) => ({
    rules: [{ fault: { fault: 'status', code: 429 }, share: share(random) }],
  }),
  'server errors': (random) => ({
    rules: [{ fault: { fault: 'status', code: pick(random, [500, 502, 503, 504]) }, share: share(random) }],
  }),
  'a page of a load balancer': (random) => ({
    rules: [{ fault: { fault: 'answer', code: 503, body: '<html>no backend</html>' }, share: share(random) }],
  }),
  'expired tokens': (random) => ({ rules: [{ fault: { fault: 'status', code: 401 }, share: share(random) }] }),
  resets: (random) => ({ rules: [{ fault: { fault: 'reset' }, share: share(random) }], cuts: true }),
  'resets after the deed': (random) => ({ rules: [{ fault: { fault: 'resetAfter' }, share: share(random) }] }),
  'half-open connections': () => ({ rules: [{ fault: { fault: 'halfOpen' } }, { fault: { fault: 'silence' } }] }),
  'slow bodies': (random) => ({ rules: [{ fault: { fault: 'slowBody', bytesPerSecond: 2000 + 20_000 * random() } }] }),
  'truncated bodies': (random) => ({
    rules: [{ fault: { fault: 'truncate', bytes: Math.floor(500 * random()) }, share: share(random) }],
  }),
  'versions that are too old': (random) => ({
    rules: [
      { fault: { fault: 'status', code: 410 }, when: ({ verb }) => verb === 'watch', share: share(random) },
      { fault: { fault: 'goneEvent' }, share: share(random) },
    ],
    cuts: true,
  }),
  'truncated watch lines': (random) => ({ rules: [{ fault: { fault: 'truncateEvent' }, share: share(random) }] }),
  'malformed watch lines': (random) => ({ rules: [{ fault: { fault: 'malformEvent' }, share: share(random) }] }),
  'duplicated events': (random) => ({ rules: [{ fault: { fault: 'duplicateEvent' }, share: share(random) }] }),
  'late events': (random) => ({ rules: [{ fault: { fault: 'delayEvent', ms: 20 + 480 * random() } }] }),
  'dropped events': (random) => ({ rules: [{ fault: { fault: 'dropEvent' }, share: share(random) }] }),
}

/** Faults one after the other, some overlapping, that are all over by `durationMs`. */
export const randomEpisodes = (seed: number, durationMs: number): Episode[] => {
  const random = seeded(seed)
  const names = Object.keys(kinds) as [string, ...string[]]
  const episodes: Episode[] = []
  for (let atMs = 0; atMs < durationMs; atMs += durationMs * (0.05 + 0.15 * random())) {
    const name = pick(random, names)
    const made = kinds[name]?.(random) ?? { rules: [] }
    const forMs = Math.min(durationMs - atMs, durationMs * (0.05 + 0.25 * random()))
    const rules = made.rules.map((rule) => ({
      ...rule,
      when: (asked: Asked) => beyondLeases(asked) && (rule.when?.(asked) ?? true),
    }))
    episodes.push({ atMs, forMs, name, rules, cuts: made.cuts ?? false })
  }
  return episodes
}
