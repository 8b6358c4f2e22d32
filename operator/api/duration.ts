// Lengths of time as the resource writes them: 500ms, 30s, 2m, 1h30m. Pure.

const millisecondsPer = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const
type Unit = keyof typeof millisecondsPer

const isUnit = (text: string): text is Unit => Object.hasOwn(millisecondsPer, text)

/**
 * Milliseconds of a duration. Units may come in any order and add up, as the schema allows.
 *
 * @throws RangeError when the text is not a duration; the schema keeps such text out of a spec.
 */
export const parseDuration = (text: string): number => {
  if (!/^(?:[0-9]{1,6}(?:ms|s|m|h)){1,4}$/.test(text)) {
    throw new RangeError(`"${text}" is not a duration: write numbers with units, such as 500ms, 30s, 2m or 1h30m`)
  }
  let total = 0
  for (const [, amount = '', unit = ''] of text.matchAll(/([0-9]+)(ms|s|m|h)/g)) {
    if (isUnit(unit)) total += Number(amount) * millisecondsPer[unit]
  }
  return total
}

/** The shortest text of a duration in whole milliseconds; what it gives, parseDuration takes. Negative counts as zero. */
export const formatDuration = (milliseconds: number): string => {
  let rest = Math.max(0, Math.round(milliseconds))
  const parts: string[] = []
  for (const [unit, size] of Object.entries(millisecondsPer)) {
    const amount = Math.floor(rest / size)
    rest -= amount * size
    if (amount > 0) parts.push(`${amount}${unit}`)
  }
  return parts.join('') || '0s'
}
