// The goals of the runtime by name, and how each is read from the samples of a run. Pure.
import { ascending, columns, median, relativeSlope, round } from '../figures.ts'
import type { Sample } from './measure.ts'

export interface Goal {
  readonly name: string
  /** The median over the rounds, or their worst where the goal is a worst. */
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  readonly op: '<=' | '>=' | 'reported'
  /** Null where the figure is only reported. */
  readonly target: number | null
  readonly met: boolean
  /** Why there is no value. */
  readonly reason?: string
}

type Which = Partial<Pick<Sample, 'part' | 'subject' | 'model' | 'form' | 'connections' | 'load'>>
type Figure = (sample: Sample) => number

interface Target {
  readonly op: Goal['op']
  readonly target: number | null
  readonly part: string
  readonly of: (samples: readonly Sample[]) => readonly number[]
  /** The worst round counts, not the median. */
  readonly worst?: true
}

const matching = (samples: readonly Sample[], which: Which): readonly Sample[] =>
  samples.filter((sample) => Object.entries(which).every(([key, value]) => sample[key as keyof Which] === value))

/** Combines two figures of one round, for each round that has both. */
const paired =
  (figure: Figure, ours: Which, theirs: Which, combine: (a: number, b: number) => number) =>
  (samples: readonly Sample[]): readonly number[] =>
    matching(samples, ours).flatMap((our) => {
      const their = matching(samples, theirs).find((each) => each.round === our.round)
      // Who failed has no figures to compare with.
      return their === undefined || our.failures > 0 || their.answers === 0 || our.answers === 0
        ? []
        : [combine(figure(our), figure(their))]
    })
const ratio = (figure: Figure, ours: Which, theirs: Which) => paired(figure, ours, theirs, (a, b) => a / b)
const difference = (figure: Figure, ours: Which, theirs: Which) => paired(figure, ours, theirs, (a, b) => a - b)

const rps: Figure = (sample) => sample.rps
const p50: Figure = (sample) => sample.p50
const p99: Figure = (sample) => sample.p99
const cpu: Figure = (sample) => sample.cpuUs

const atLeast = (target: number, part: string, of: Target['of']): Target => ({ op: '>=', target, part, of })
const atMost = (target: number, part: string, of: Target['of']): Target => ({ op: '<=', target, part, of })

const reported = (part: string, of: Target['of']): Target => ({ op: 'reported', target: null, part, of })

const slipway = { subject: 'slipway' } as const
const tinyJson = { part: 'tiny', model: 'tiny', form: 'json', connections: 32 } as const
const tinyBinary = { ...tinyJson, form: 'binary' } as const
const tinyGrpc = { ...tinyJson, form: 'grpc' } as const
const image = { part: 'image', model: 'cnn' } as const
const imageBinary = { ...image, form: 'binary', connections: 16 } as const
const imageJson = { ...imageBinary, form: 'json' } as const
const batches = { part: 'batching', model: 'large', connections: 32 } as const
const underQuota = { part: 'quota', model: 'cnn', connections: 1 } as const

const speech = { part: 'speech', model: 'silero', connections: 16 } as const
const ocr = { part: 'ocr', model: 'ppocr', connections: 8 } as const

const against = (peer: string, which: Which): Target['of'] =>
  ratio(rps, { ...which, ...slipway }, { ...which, subject: peer })

export const targets = {
  cpu_vs_raw: atMost(
    1.1,
    'image',
    ratio(cpu, { ...imageBinary, ...slipway }, { ...image, subject: 'raw', connections: 1 }),
  ),
  throughput_vs_raw: atLeast(0.75, 'image', (samples) =>
    ratio(
      rps,
      { ...imageBinary, ...slipway },
      { ...image, subject: 'raw', connections: rawSessions(samples) },
    )(samples),
  ),
  added_p50_binary_ms: atMost(
    0.8,
    'image',
    difference(p50, { ...imageBinary, ...slipway, connections: 1 }, { ...image, subject: 'raw', connections: 1 }),
  ),
  added_p50_tiny_ms: atMost(
    0.25,
    'tiny',
    difference(p50, { ...tinyBinary, ...slipway, connections: 1 }, { part: 'tiny', subject: 'raw' }),
  ),
  json_image_rps_vs_express: atLeast(2.5, 'image', against('express', imageJson)),
  json_image_p99_vs_express: atMost(
    0.2,
    'image',
    ratio(p99, { ...imageJson, ...slipway }, { ...imageJson, subject: 'express' }),
  ),
  tiny_json_rps_vs_express: atLeast(4, 'tiny', against('express', tinyJson)),
  tiny_json_rps_vs_fastapi: atLeast(8, 'tiny', against('fastapi', tinyJson)),
  tiny_json_rps_vs_mlserver: atLeast(10, 'tiny', against('mlserver', tinyJson)),
  tiny_json_rps_vs_kserve: atLeast(12, 'tiny', against('kserve', tinyJson)),
  tiny_json_rps_vs_triton: atLeast(5, 'tiny', against('triton', tinyJson)),
  tiny_binary_rps_vs_kserve: atLeast(10, 'tiny', against('kserve', tinyBinary)),
  tiny_binary_rps_vs_triton: atLeast(4, 'tiny', against('triton', tinyBinary)),
  grpc_tiny_rps_vs_triton: atLeast(1.5, 'tiny', against('triton', tinyGrpc)),
  batching_gain: atLeast(
    3.5,
    'batching',
    ratio(rps, { ...batches, ...slipway }, { ...batches, subject: 'slipway single' }),
  ),
  batching_p99: atMost(
    1,
    'batching',
    ratio(p99, { ...batches, ...slipway }, { ...batches, subject: 'slipway single' }),
  ),
  quota_rps_vs_defaults: atLeast(1.3, 'quota', against('express', { ...underQuota, load: '1 CPU' })),
  quota_p99_vs_defaults: atMost(
    0.33,
    'quota',
    ratio(p99, { ...underQuota, ...slipway, load: '1 CPU' }, { ...underQuota, subject: 'express', load: '1 CPU' }),
  ),
  binary_cpu_vs_python: atMost(
    0.4,
    'floor',
    ratio(cpu, { part: 'floor', ...slipway }, { part: 'floor', subject: 'kserve' }),
  ),
  grpc_cpu_vs_protoloader: atMost(
    0.5,
    'grpc',
    ratio(cpu, { part: 'grpc', ...slipway }, { part: 'grpc', subject: 'proto-loader' }),
  ),
  worst_live_ms: {
    ...atMost(50, 'any', (samples) =>
      samples
        .filter(
          ({ subject, connections, part }) =>
            subject === 'slipway' && connections >= 16 && part !== 'quota' && part !== 'soak',
        )
        .map(({ worstLiveMs }) => worstLiveMs),
    ),
    worst: true,
  },
  soak_failures: atMost(0, 'soak', (samples) => {
    const soak = matching(samples, { part: 'soak' })
    return soak.length === 0 ? [] : [soak.reduce((sum, { failures }) => sum + failures, 0)]
  }),
  /** Percent of the memory in ten minutes. */
  soak_rss_slope: atMost(2, 'soak', (samples) => slope(matching(samples, { part: 'soak' }))),
  poisson80_p99_vs_best_peer: atMost(1, 'poisson', bestPeer),
  speech_json_rps_vs_express: reported('speech', against('express', { ...speech, form: 'json' })),
  speech_json_rps_vs_fastapi: reported('speech', against('fastapi', { ...speech, form: 'json' })),
  speech_json_rps_vs_mlserver: reported('speech', against('mlserver', { ...speech, form: 'json' })),
  speech_json_rps_vs_kserve: reported('speech', against('kserve', { ...speech, form: 'json' })),
  speech_binary_rps_vs_kserve: reported('speech', against('kserve', { ...speech, form: 'binary' })),
  speech_grpc_rps_vs_kserve: reported('speech', against('kserve', { ...speech, form: 'grpc' })),
  ocr_json_rps_vs_express: reported('ocr', against('express', { ...ocr, form: 'json' })),
  ocr_json_rps_vs_triton: reported('ocr', against('triton', { ...ocr, form: 'json' })),
  ocr_binary_rps_vs_express: reported('ocr', against('express', { ...ocr, form: 'binary' })),
  ocr_binary_rps_vs_kserve: reported('ocr', against('kserve', { ...ocr, form: 'binary' })),
  ocr_binary_rps_vs_triton: reported('ocr', against('triton', { ...ocr, form: 'binary' })),
  ocr_grpc_rps_vs_triton: reported('ocr', against('triton', { ...ocr, form: 'grpc' })),
  ocr_cpu_vs_raw: reported(
    'ocr',
    ratio(cpu, { ...ocr, ...slipway, form: 'binary' }, { part: 'ocr', subject: 'raw', connections: 1 }),
  ),
} as const satisfies Readonly<Record<string, Target>>

/** How fast memory grows after the first third, in percent in ten minutes. */
function slope(soak: readonly Sample[]): readonly number[] {
  const late = soak.slice(Math.ceil(soak.length / 3))
  if (late.length < 2) return []
  return [relativeSlope(late.map(({ round: at, memoryMib: value }) => ({ at, value }))) * samplesInTenMinutes * 100]
}
const samplesInTenMinutes = 120

/** The greatest number of sessions that ran at once, one for each core. */
const rawSessions = (samples: readonly Sample[]): number =>
  Math.max(...matching(samples, { ...image, subject: 'raw' }).map(({ connections }) => connections))

/** In each round, our p99 over the peer's under the same arrivals, against the peer that comes off best. */
function bestPeer(samples: readonly Sample[]): readonly number[] {
  const at80 = samples.filter(({ part, load }) => part === 'poisson' && load?.startsWith('80 %') === true)
  const rounds = [...new Set(at80.map((sample) => sample.round))]
  return rounds.flatMap((turn) => {
    const ratios = at80.flatMap((their) => {
      if (their.subject === 'slipway' || their.round !== turn || their.answers === 0) return []
      const our = at80.find(
        ({ subject, round: when, load }) => subject === 'slipway' && when === turn && load === their.load,
      )
      return our === undefined ? [] : [our.p99 / their.p99]
    })
    return ratios.length === 0 ? [] : [Math.max(...ratios)]
  })
}

/**
 * All goals. One whose part was not run has no value, and says so: who reads a table must not take what is there for all.
 * @param missing why a contender is not there, by its name
 */
export function goalsOf(
  samples: readonly Sample[],
  parts: readonly string[],
  missing: Readonly<Record<string, string>>,
): readonly Goal[] {
  return Object.entries<Target>(targets).map(([name, { op, target, part, of, worst }]): Goal => {
    const without = (reason: string): Goal => ({
      name,
      value: null,
      low: null,
      high: null,
      op,
      target,
      met: false,
      reason,
    })
    if (part !== 'any' && !parts.includes(part)) return without(`the part ${part} was not run (--parts ${part})`)
    const values = ascending(of(samples))
    const [low, high] = [values[0], values.at(-1)]
    if (low === undefined || high === undefined) {
      const peer = Object.keys(missing).find((each) => name.replace('_python', '_kserve').endsWith(`_${each}`))
      const reason = peer === undefined ? 'nothing was measured' : `${peer}: ${missing[peer]}`
      return without(reason)
    }
    const value = worst === true ? high : median(values)
    const met = target === null || (op === '<=' ? value <= target : value >= target)
    return { name, value, low, high, op, target, met }
  })
}

export const tableOf = (goals: readonly Goal[]): string => {
  const show = (value: number | null): string => (value === null ? '-' : String(round(value)))
  return columns([
    ['goal', 'value', 'low', 'high', 'target', 'met'],
    ...goals.map(({ name, value, low, high, op, target, met, reason }) => [
      name,
      show(value),
      show(low),
      show(high),
      target === null ? op : `${op} ${target}`,
      met ? 'yes' : `no${reason === undefined ? '' : `: ${reason}`}`,
    ]),
  ])
}
