// A bar chart as SVG, readable on light and dark pages. Pure.
export interface Bar {
  readonly label: string
  readonly value: number
  readonly low: number
  readonly high: number
  /** Drawn in the colour of ours. */
  readonly ours: boolean
}

export interface Chart {
  readonly title: string
  readonly unit: string
  readonly bars: readonly Bar[]
  /** Each step of the axis is ten times the last. For values that differ a lot. */
  readonly logarithmic?: boolean
}

const width = 720
const left = 150
const right = 110
const barHeight = 18
const gap = 10
const top = 44

/** Bars from the top down, each with a line from its least to its greatest value and its median in figures. */
export function barChart({ title, unit, bars, logarithmic = false }: Chart): string {
  const height = top + bars.length * (barHeight + gap) + 8
  const most = Math.max(...bars.map(({ high }) => high))
  const least = logarithmic ? Math.min(...bars.map(({ low }) => low)) / 2 : 0
  const scale = (value: number): number =>
    logarithmic
      ? Math.log(Math.max(value, least) / least) / Math.log(most / least)
      : Math.max(0, value) / Math.max(most, Number.MIN_VALUE)
  const x = (value: number): number => Math.round((left + scale(value) * (width - left - right)) * 10) / 10
  const lines = bars.map(({ label, value, low, high, ours }, index) => {
    const y = top + index * (barHeight + gap)
    const middle = y + barHeight / 2
    const end = x(value)
    return [
      `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${left}" y="${y}" width="${Math.max(1, end - left).toFixed(1)}" height="${barHeight}" fill="${ours ? '#2f81f7' : '#8b949e'}"/>`,
      `<line x1="${x(low)}" x2="${x(high)}" y1="${middle}" y2="${middle}" stroke="#d29922" stroke-width="2"/>`,
      `<text x="${Math.max(end, x(high)) + 6}" y="${middle + 4}">${figure(value)}</text>`,
    ].join('\n')
  })
  const axis = `${unit}${logarithmic ? ', logarithmic' : ''}; median of the rounds, line from the least to the greatest`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#808890" role="img" aria-label="${escaped(title)}">`,
    `<text x="8" y="16" font-size="14" font-weight="bold">${escaped(title)}</text>`,
    `<text x="8" y="33" font-size="11">${escaped(axis)}</text>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n')
}

/** Three digits that count. */
const figure = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)))

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
