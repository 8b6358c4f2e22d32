// What the page of benchmarks shows of the runtime beside its goals: a table of everybody, and plots. Pure.
import { barChart, type Chart } from '../bars.ts'
import { median, round } from '../figures.ts'
import type { Results, Section } from '../page.ts'
import type { Sample } from './measure.ts'

export function runtimeSection(results: Results): Section {
  const samples = readable((results.samples ?? []) as readonly Sample[])
  const drawn = charts.flatMap(({ file, which, figure, ...chart }) => {
    const bars = barsOf(samples.filter(which), figure)
    return bars.length < 2 ? [] : [{ file, title: chart.title, svg: barChart({ ...chart, bars }) }]
  })
  const text = [
    'Medians over the rounds. CPU is of the server, for each answer; memory counts shared pages once; live is the longest',
    'that it took to say that it lives.',
    '',
    '| part | server | form | at once | load | answers/s | p50 ms | p99 ms | CPU µs | MiB | live ms | failed |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...table(samples),
    '',
    ...drawn.flatMap(({ file, title }) => [`![${title}](benchmarks/${file})`, '']),
  ]
  return { text: text.join('\n').trimEnd(), plots: Object.fromEntries(drawn.map(({ file, svg }) => [file, svg])) }
}

/** JSON knows no NaN: what was not measured comes as null. */
const readable = (samples: readonly Sample[]): readonly Sample[] =>
  samples.map(
    (sample) => Object.fromEntries(Object.entries(sample).map(([k, v]) => [k, v ?? NaN])) as unknown as Sample,
  )

function table(samples: readonly Sample[]): readonly string[] {
  const groups = Map.groupBy(samples, ({ part, subject, form, connections, load = '' }) =>
    [part, subject, form, connections, load].join(' | '),
  )
  return [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, group]) => {
      const of = (figure: (sample: Sample) => number, digits = 0): string => {
        const value = median(group.map(figure))
        return Number.isNaN(value) ? '-' : String(round(value, digits))
      }
      const failed = group.reduce((sum, { failures }) => sum + failures, 0)
      const figures = [
        of((s) => s.rps),
        of((s) => s.p50, 2),
        of((s) => s.p99, 1),
        of((s) => s.cpuUs),
        of((s) => s.memoryMib),
        of((s) => s.worstLiveMs),
      ]
      return `| ${key} | ${figures.join(' | ')} | ${failed} |`
    })
}

interface Plot extends Omit<Chart, 'bars'> {
  readonly file: string
  readonly which: (sample: Sample) => boolean
  readonly figure: (sample: Sample) => number
}

const rps = (sample: Sample): number => sample.rps
const p99 = (sample: Sample): number => sample.p99
const cpu = (sample: Sample): number => sample.cpuUs

const is =
  (part: string, form: string, connections: number, load?: string) =>
  (sample: Sample): boolean =>
    sample.part === part && sample.form === form && sample.connections === connections && sample.load === load

const charts: readonly Plot[] = [
  {
    file: 'tiny-json.svg',
    title: 'A tiny model, JSON, 32 at once',
    unit: 'answers a second',
    which: is('tiny', 'json', 32),
    figure: rps,
  },
  {
    file: 'tiny-json-p99.svg',
    title: 'A tiny model, JSON, 32 at once: p99',
    unit: 'milliseconds',
    logarithmic: true,
    which: is('tiny', 'json', 32),
    figure: p99,
  },
  {
    file: 'tiny-binary.svg',
    title: 'A tiny model, binary tensors, 32 at once',
    unit: 'answers a second',
    which: is('tiny', 'binary', 32),
    figure: rps,
  },
  {
    file: 'tiny-grpc.svg',
    title: 'A tiny model, gRPC, 32 at once',
    unit: 'answers a second',
    which: is('tiny', 'grpc', 32),
    figure: rps,
  },
  {
    file: 'image-json.svg',
    title: 'MobileNetV2, an image as JSON, 16 at once',
    unit: 'answers a second',
    which: is('image', 'json', 16),
    figure: rps,
  },
  {
    file: 'image-json-p99.svg',
    title: 'MobileNetV2, an image as JSON, 16 at once: p99',
    unit: 'milliseconds',
    logarithmic: true,
    which: is('image', 'json', 16),
    figure: p99,
  },
  {
    file: 'image-binary.svg',
    title: 'MobileNetV2, binary tensors of 602 KB, 16 at once',
    unit: 'answers a second',
    which: is('image', 'binary', 16),
    figure: rps,
  },
  {
    file: 'floor.svg',
    title: 'Server CPU for 602 KB, without the model',
    unit: 'microseconds a request',
    which: is('floor', 'binary', 4),
    figure: cpu,
  },
  {
    file: 'speech-json.svg',
    title: 'Silero, a step of speech as JSON, 16 at once',
    unit: 'answers a second',
    which: is('speech', 'json', 16),
    figure: rps,
  },
  {
    file: 'ocr-json.svg',
    title: 'PP-OCR, lines of varying width as JSON, 8 at once',
    unit: 'answers a second',
    which: is('ocr', 'json', 8),
    figure: rps,
  },
  {
    file: 'ocr-binary.svg',
    title: 'PP-OCR, lines of varying width, binary tensors, 8 at once',
    unit: 'answers a second',
    which: is('ocr', 'binary', 8),
    figure: rps,
  },
  {
    file: 'quota.svg',
    title: 'MobileNetV2 under a quota of 1 CPU, one at once: p99',
    unit: 'milliseconds',
    which: is('quota', 'binary', 1, '1 CPU'),
    figure: p99,
  },
]

function barsOf(samples: readonly Sample[], figure: (sample: Sample) => number): Chart['bars'] {
  const bars = [...Map.groupBy(samples, ({ subject }) => subject)].map(([label, group]) => {
    const values = group.map(figure).filter((value) => !Number.isNaN(value))
    return {
      label,
      value: median(values),
      low: Math.min(...values),
      high: Math.max(...values),
      ours: label === 'slipway',
    }
  })
  return bars.filter(({ value }) => !Number.isNaN(value)).toSorted((a, b) => b.value - a.value)
}
