// The names of metrics: as a scrape exports them, and as a page of the docs tells them. Pure.
import { load } from 'js-yaml'

export interface Told {
  readonly name: string
  readonly labels: readonly string[]
}

export interface Exported extends Told {
  readonly type: string
}

/** Every metric of a scrape, also those that have no sample yet, with the labels of those that have. */
export const metricsOfScrape = (text: string): Exported[] => {
  const lines = text.split('\n')
  const labelsOf = (name: string): string[] => {
    const sample = new RegExp(String.raw`^${name}(?:_bucket|_sum|_count)?\{(.*)\} `)
    const found = lines.flatMap((line) => sample.exec(line)?.[1] ?? [])
    return [...new Set(found.flatMap((labels) => [...labels.matchAll(/(\w+)="/g)].map(([, label = '']) => label)))]
  }
  return lines
    .flatMap((line) => /^# TYPE (\w+) (\w+)$/.exec(line) ?? [])
    .flatMap((part, index, parts) => (index % 3 === 1 ? [{ name: part, type: parts[index + 1] ?? '' }] : []))
    .map(({ name, type }) => ({ name, type, labels: labelsOf(name) }))
}

/** Metrics that a page names as code, in tables and sentences: `name` or `name{label,label="value"}`. */
export const metricsOfText = (markdown: string): Told[] => {
  const prose = markdown.replaceAll(/^```[\s\S]*?^```/gm, '')
  return [...prose.matchAll(/`([a-z]+(?:_[a-z0-9]+)+)(?:\{([^}]*)\})?`/g)].map(([, name = '', labels = '']) => ({
    name,
    labels: [...labels.matchAll(/(\w+)(?:="[^"]*")?/g)].map(([, label = '']) => label),
  }))
}

/** Metrics that the alerting rules of a page ask for. */
export const metricsOfAlerts = (markdown: string): string[] => {
  const blocks = [...markdown.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, yaml = '']) => load(yaml) as Rules)
  const expressions = blocks.flatMap(({ groups = [] }) => groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)))
  const names = expressions.flatMap(
    (expression) => expression.replaceAll(/\{.*?\}/g, '').match(/\b[a-z]+_[a-z0-9_]+\b/g) ?? [],
  )
  return [...new Set(names)].filter((name) => name !== 'histogram_quantile').map((name) => name.replace(/_bucket$/, ''))
}

interface Rules {
  readonly groups?: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}
