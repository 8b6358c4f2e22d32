// Text laid out for a terminal: tables, bars, wrapped sentences, lengths of time. Pure.

/** Rows of cells as lines, each column as wide as its widest cell; the last one is not filled up. */
export const table = (rows: readonly (readonly string[])[], indent = ''): string[] => {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  return rows.map((row) => `${indent}${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd())
}

const label = 11

/** `waits for  a sentence`, wrapped, the lines after the first under its beginning. */
export const paragraph = (name: string, text: string, width: number): string[] => {
  const lines = wrapped(text, Math.max(30, width - label - 2))
  return lines.map((line, i) => `  ${(i === 0 ? name : '').padEnd(label)}${line}`.trimEnd())
}

/** The text in lines of at most `width` characters, where its words allow it. */
export const wrapped = (text: string, width: number): string[] =>
  text.split('\n').flatMap((line) => {
    const lines: string[] = []
    let current = ''
    for (const word of line.split(' ')) {
      if (current !== '' && current.length + 1 + word.length > width) {
        lines.push(current)
        current = word
      } else {
        current = current === '' ? word : `${current} ${word}`
      }
    }
    return [...lines, current]
  })

/** A share from 0 to 1 as a bar of `width` characters; a share above 0 is always seen. */
export const bar = (share: number, width: number): string => {
  const exact = Math.min(1, Math.max(0, share)) * width
  const filled = share > 0 ? Math.max(1, Math.round(exact)) : 0
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}

/** A length of time in its two largest units: 42s, 3m12s, 5h, 2d3h. Negative counts as zero. */
export const ago = (milliseconds: number): string => {
  let rest = Math.max(0, Math.floor(milliseconds / 1000))
  const parts: string[] = []
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const amount = Math.floor(rest / size)
    rest -= amount * size
    if (amount > 0 || parts.length > 0) parts.push(`${amount}${unit}`)
  }
  const shown = parts.slice(0, 2).filter((part) => !part.startsWith('0'))
  return shown.join('') || '0s'
}

/** The time of day of an instant in UTC, as 14:03:59Z. */
export const clock = (instant: string): string => `${new Date(instant).toISOString().slice(11, 19)}Z`

/** A text with its full stop. Its beginning is left alone: it may be a name. */
export const closed = (text: string): string => (/[.!?…]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`)

/** A phrase of the table of reasons as a sentence; empty for none. */
export const asSentence = (phrase: string): string =>
  phrase === '' ? '' : closed(`${phrase.charAt(0).toUpperCase()}${phrase.slice(1)}`)

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const
export type Paint = (colour: keyof typeof codes, text: string) => string

/** Colours the text, or leaves it as it is. */
export const painter =
  (colours: boolean): Paint =>
  (colour, text) =>
    colours ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text
