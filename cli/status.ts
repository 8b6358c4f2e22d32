// `status` as text: one screen about one object, or one line about each of several. Pure.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { ago, clock, paragraph, table, type Paint } from './layout.ts'
import type { StatusReport, StepReport, VersionReport } from './report.ts'

/** @param now milliseconds since the epoch @param width characters of a line */
export const renderStatus = (report: StatusReport, now: number, width: number, paint: Paint): string => {
  const { name, namespace, phase, generation, observedGeneration } = report
  const seen =
    observedGeneration === generation
      ? `generation ${generation}`
      : `generation ${generation}, of which the operator has seen ${observedGeneration ?? 'none'}`
  const lines = [
    `${paint('bold', name)} in ${namespace}: ${paint(colourOf(report), phase)}, ${seen}`,
    '',
    ...versionLines(report, now),
    ...(report.rollout === undefined ? [] : ['', ...rolloutLines(report.rollout, now, width)]),
    ...routerLines(report, width),
    ...checkLines(report),
    '',
    ...table([['CONDITION', 'STATUS', 'REASON'], ...report.conditions.map((c) => [c.type, c.status, c.reason])], '  '),
    '',
    ...closing(report, width),
  ]
  return lines.join('\n')
}

/** What is said last: what it waits for, what to do, and whether users are answered. */
export const closing = (report: StatusReport, width: number): string[] => {
  const { waitsFor, toDo, outcome, conditions, lastCommand } = report
  const available = conditions.find((c) => c.type === 'Available')
  const ready = conditions.find((c) => c.type === 'Ready')
  return [
    ...(waitsFor === undefined
      ? []
      : paragraph(outcome === 'UnderWay' ? 'waits for' : 'stopped', waitsFor.message, width)),
    ...(toDo === undefined ? [] : paragraph('to do', toDo, width)),
    ...(outcome === 'RolledOut' && ready !== undefined ? paragraph('done', ready.message, width) : []),
    ...(available === undefined || outcome === 'RolledOut' ? [] : paragraph('users', available.message, width)),
    ...(lastCommand === undefined
      ? []
      : paragraph(
          'command',
          `${lastCommand.op}: ${lastCommand.result}, ${clock(lastCommand.at)}. ${lastCommand.message}`,
          width,
        )),
  ]
}

export const colourOf = ({ outcome }: StatusReport): 'green' | 'yellow' | 'red' =>
  outcome === 'RolledOut' ? 'green' : outcome === 'Stalled' ? 'red' : 'yellow'

/** One line for each object of a namespace. */
export const renderList = (reports: readonly StatusReport[]): string =>
  table([
    ['NAME', 'VERSION', 'CANDIDATE', 'PHASE', 'WEIGHT', 'OUTCOME', 'AVAILABLE'],
    ...reports.map((report) => {
      const of = (role: VersionReport['role']) => report.versions.find((v) => v.role === role)
      const candidate = of('candidate')
      return [
        report.name,
        versionOf(of('stable')),
        versionOf(candidate),
        report.phase,
        candidate === undefined ? '' : shown(candidate.share),
        report.outcome,
        report.available ? 'True' : 'False',
      ]
    }),
  ]).join('\n')

const versionOf = (version: VersionReport | undefined): string => version?.version ?? version?.revision ?? ''

/** A share from 0 to 1 as people read it, with at most one decimal. */
export const shown = (share: number): string => `${Number((share * 100).toFixed(1))}%`

export const versionLines = ({ versions, name }: StatusReport, now: number): string[] =>
  versions.length === 0
    ? [`  ${name} has no version yet.`]
    : table(
        [
          ['', 'VERSION', 'REVISION', 'ASKED', 'MEASURED', 'FAILED', 'PODS READY', ''],
          ...versions.map((v) => [
            v.role,
            v.version ?? '(being read)',
            v.revision,
            shown(v.share),
            measuredOf(v),
            failedOf(v),
            v.pods === undefined ? '?' : `${v.pods.ready} of ${v.pods.wanted}`,
            v.until === undefined ? '' : `kept for ${ago(Date.parse(v.until) - now)} more`,
          ]),
        ],
        '  ',
      )

export const failedOf = ({ calls }: VersionReport): string =>
  calls === undefined ? '-' : `${calls.failures} of ${calls.requests}`

export const measuredOf = ({ measured }: VersionReport): string =>
  measured === undefined ? '-' : `${shown(measured.share)} (${shown(measured.low)} to ${shown(measured.high)})`

const rolloutLines = (rollout: NonNullable<StatusReport['rollout']>, now: number, width: number): string[] => {
  const { state, substep, enteredAt, deadlineAt, attempt, pausedBy, steps } = rollout
  const where = substep === undefined ? state : `${state}.${substep}`
  const tries = attempt > 1 ? `, attempt ${attempt}` : ''
  const limit = deadlineAt === undefined ? '' : `, at most ${ago(Date.parse(deadlineAt) - now)} more`
  return [
    ...paragraph('rollout', `${where} for ${ago(now - Date.parse(enteredAt))}${limit}${tries}`, width),
    ...(steps === undefined ? [] : paragraph('steps', stepsLine(steps), width)),
    ...(pausedBy === undefined ? [] : paragraph('paused', `By ${pausedBy}.`, width)),
  ]
}

const marks = { Passed: '✔', Now: '▶', Ahead: '·' } as const

export const stepsLine = (steps: readonly StepReport[]): string =>
  steps.map(({ weight, gate, at }) => `${marks[at]} ${weight}${gate === 'Manual' ? ' (gate)' : ''}`).join('   ')

export const routerLines = ({ routers }: StatusReport, width: number): string[] =>
  routers === undefined
    ? []
    : routers.mode === 'Gateway'
      ? paragraph('routes', `${routers.acked} of ${routers.total} are accepted with epoch ${routers.epoch}.`, width)
      : paragraph('routers', `${routers.acked} of ${routers.total} have applied epoch ${routers.epoch}.`, width)

/** The figures of the verdict, as the operator stored them. */
export const checkLines = ({ checks }: StatusReport): string[] =>
  checks.length === 0
    ? []
    : [
        '',
        ...table(
          [
            ['CHECK', 'VERDICT', 'SAMPLES', 'CANDIDATE', 'STABLE', 'LOG E'],
            ...checks.map((c) => [c.name, c.verdict, String(c.n), String(c.x), String(c.y), c.logE]),
          ],
          '  ',
        ),
      ]

/** `history` as text: every transition that the status keeps, oldest first. */
export const renderHistory = ({ status }: ModelDeployment, width: number): string => {
  const entries = status?.history ?? []
  if (entries.length === 0) return 'Nothing has happened yet.'
  const head = table([
    ['WHEN', 'FROM', 'TO', 'REASON', 'REVISION', 'BY'],
    ...entries.map((e) => [e.at.replace(/\.\d+Z$/, 'Z'), e.from, e.to, e.reason, e.revision ?? '', e.by ?? '']),
  ])
  const [first = '', ...rest] = head
  return [first, ...rest.flatMap((line, i) => [line, ...paragraph('', entries[i]?.message ?? '', width)])].join('\n')
}
