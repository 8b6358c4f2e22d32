// What `watch` shows: the rollout drawn for a terminal, or one line for each thing that has happened. Pure.
import type { HistoryEntry } from '../operator/api/modeldeployment.ts'
import type { KubeEvent } from '../operator/kube/resources.ts'
import { timeOf } from './cluster.ts'
import { ago, bar, clock, paragraph, table, type Paint } from './layout.ts'
import type { StatusReport } from './report.ts'
import { checkLines, closing, colourOf, measuredOf, routerLines, shown, stepsLine } from './status.ts'

/** Events that are shown, the latest. */
const eventLimit = 5
const widestBar = 40

export interface View {
  readonly report: StatusReport
  /** Oldest first. */
  readonly events: readonly KubeEvent[]
  /** Why the cluster cannot be followed at the moment; unset while it can. */
  readonly interrupted?: string
}

/** The whole picture. @param now milliseconds since the epoch @param columns characters of a line */
export const drawFrame = (
  { report, events, interrupted }: View,
  now: number,
  columns: number,
  paint: Paint,
): string => {
  const { name, namespace, phase, rollout, versions } = report
  const since = rollout === undefined ? '' : ` for ${ago(now - Date.parse(rollout.enteredAt))}`
  const where = rollout?.substep === undefined ? phase : `${phase}.${rollout.substep}`
  const lines = [
    `${paint('bold', name)} in ${namespace}   ${paint(colourOf(report), where)}${since}   ${clock(new Date(now).toISOString())}`,
    '',
    ...barLines(versions, columns, paint),
    ...(rollout?.steps === undefined ? [] : ['', ...paragraph('steps', stepsLine(rollout.steps), columns)]),
    ...routerLines(report, columns),
    ...checkLines(report),
    '',
    ...closing(report, columns),
    ...(interrupted === undefined ? [] : ['', ...paragraph('', paint('red', interrupted), columns)]),
    ...(events.length === 0 ? [] : ['', ...events.slice(-eventLimit).map((event) => eventLine(event, columns))]),
  ]
  return lines.map((line) => cutTo(line, columns)).join('\n')
}

const barLines = (versions: StatusReport['versions'], columns: number, paint: Paint): string[] => {
  const rows = table(
    versions.map((v) => [
      v.role,
      v.version ?? '(being read)',
      v.revision,
      shown(v.share),
      measuredOf(v),
      v.pods === undefined ? '? pods' : `${v.pods.ready} of ${v.pods.wanted} pods`,
    ]),
    '  ',
  )
  const width = Math.max(10, Math.min(widestBar, columns - 4))
  return rows.flatMap((row, i) => {
    const version = versions[i]
    if (version === undefined) return [row]
    const drawn = bar(version.measured?.share ?? version.share, width)
    return [row, `    ${paint(version.role === 'candidate' ? 'yellow' : 'green', drawn)}`]
  })
}

const eventLine = (event: KubeEvent, columns: number): string =>
  cutTo(`  ${clock(timeOf(event))}  ${event.reason ?? ''}  ${event.message ?? ''}`, columns)

// oxlint-disable-next-line no-control-regex
const colourCode = /(\u001b\[\d+m)/

/** A line that is longer than the terminal is wide would be broken, and the picture could not be redrawn in place. */
const cutTo = (line: string, columns: number): string => {
  // Colours have no width: the odd parts.
  const parts = line.split(colourCode)
  const length = parts.reduce((sum, part, i) => sum + (i % 2 === 0 ? part.length : 0), 0)
  if (length <= columns) return line
  let room = columns - 1
  const kept = parts.map((part, i) => {
    if (i % 2 === 1) return part
    const shown = part.slice(0, room)
    room -= shown.length
    return shown
  })
  return `${kept.join('')}…`
}

/** How a frame takes the place of the one before it: up to its first line, and clear from there. */
export const redrawn = (frame: string, before: string | undefined): string => {
  const up = before === undefined ? '' : `\u001b[${before.split('\n').length}A\r\u001b[J`
  return `${up}${frame}\n`
}

/** What is new since the last look, as lines: transitions first, then what it waits for now. */
export const newLines = (
  report: StatusReport,
  history: readonly HistoryEntry[],
  before: { readonly report: StatusReport; readonly history: readonly HistoryEntry[] } | undefined,
  now: number,
): string[] => {
  const told = new Set((before?.history ?? []).map(keyOf))
  // What happened before anyone watched is history; `history` tells it.
  const happened = before === undefined ? [] : history.filter((entry) => !told.has(keyOf(entry)))
  const transitions = happened.map(
    ({ at, from, to, reason, message }) => `${clock(at)} ${from} → ${to} (${reason}): ${message}`,
  )
  const state = stateLine(report)
  const isNew = before === undefined || stateLine(before.report) !== state
  return [...transitions, ...(isNew ? [`${clock(new Date(now).toISOString())} ${state}`] : [])]
}

const keyOf = ({ at, from, to, message }: HistoryEntry): string => `${at} ${from} ${to} ${message}`

const stateLine = (report: StatusReport): string => {
  const shares = report.versions
    .filter((v) => v.share > 0)
    .map((v) => `${v.version ?? v.revision} ${shown(v.share)}`)
    .join(', ')
  const ready = report.conditions.find((c) => c.type === 'Ready')?.message ?? ''
  return `${report.phase}${shares === '' ? '' : `, ${shares}`}: ${report.waitsFor?.message ?? ready}`
}
