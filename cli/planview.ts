// A plan as text. Pure.
import { formatDuration } from '../operator/api/duration.ts'
import type { Change } from './changes.ts'
import { closed, paragraph, table, type Paint } from './layout.ts'
import type { Amounts, PlanReport } from './plan.ts'
import { fixOf } from './report.ts'

/** Changes that are shown; a whole new section counts as one. */
const changeLimit = 20
const longestValue = 60

export const renderPlan = (plan: PlanReport, width: number, paint: Paint): string => {
  const { name, namespace, refusals, contract, held, notes, revision } = plan
  const lines = [
    `${paint('bold', name)} in ${namespace}: ${headline(plan)}`,
    ...changeLines(plan),
    ...(revision === undefined ? [] : paragraph('revision', revisionWords(revision), width)),
    ...(contract === undefined ? [] : paragraph('contract', contract.message, width)),
    ...podLines(plan, width),
    ...stepLines(plan, width),
    ...refusals.flatMap(({ by, message }) => paragraph('refused', `By the ${by}: ${closed(message)}`, width)),
    ...(held === undefined || refusals.some((r) => r.message === held.message || held.reason === 'NotImplemented')
      ? []
      : paragraph(held.outcome === 'Held' ? 'held' : 'stopped', held.message, width)),
    ...(held === undefined || fixOf(held.reason) === '' ? [] : paragraph('to do', fixOf(held.reason), width)),
    ...notes.flatMap((note) => paragraph('note', note, width)),
  ]
  return lines.join('\n')
}

const headline = ({ action, refusals, steps }: PlanReport): string => {
  if (refusals.length > 0) return 'this would not work.'
  const what = { Create: 'a new ModelDeployment', Change: 'a changed spec', Nothing: 'no change' }[action]
  return steps.length === 0 ? `${what}, and no rollout.` : `${what}, and a rollout.`
}

const changeLines = ({ changes }: PlanReport): string[] => {
  const shown = changes.slice(0, changeLimit).map(({ field, from, to }: Change) => [field, value(from), '→', value(to)])
  const rest = changes.length - shown.length
  return [...table(shown, '  '), ...(rest > 0 ? [`  and ${rest} more fields`] : [])]
}

const value = (found: unknown): string => {
  if (found === undefined) return '(unset)'
  const text = typeof found === 'string' ? found : JSON.stringify(found)
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text === '' ? '""' : text
}

const revisionWords = ({ name, is, version }: NonNullable<PlanReport['revision']>): string => {
  const called = version === undefined ? name : `${version} (${name})`
  if (is === 'Serving') return `${called} serves already: no rollout is needed.`
  return is === 'Kept'
    ? `${called} is kept: its model needs no new fetch to be checked.`
    : `${called} is new: its model is fetched and read first.`
}

const podLines = ({ pods }: PlanReport, width: number): string[] => {
  if (pods === undefined) return []
  const { now, most, last, each, devices } = pods
  const all = most > Math.max(now, last) ? `, ${most} at the most` : ''
  const counts = now === last ? `${now} before and after${all}.` : `${now} before, ${last} after${all}.`
  const asked = [words('requests', each.requests), words('limits', each.limits)].filter((text) => text !== '')
  const count = Object.entries(devices).map(([name, amount]) => `${amount} ${name}`)
  return [
    ...paragraph('pods', `${counts}${asked.length === 0 ? '' : ` Each ${asked.join('; ')}.`}`, width),
    ...(count.length === 0 ? [] : paragraph('devices', `${count.join(', ')} at the most.`, width)),
  ]
}

const words = (name: string, amounts: Amounts): string => {
  const list = Object.entries(amounts).map(([resource, amount]) => `${resource} ${amount}`)
  return list.length === 0 ? '' : `${name} ${list.join(', ')}`
}

const stepLines = ({ steps }: PlanReport, width: number): string[] => {
  if (steps.length === 0) return []
  const rows = steps.map(({ state, share = '', pods, atLeastMs, gate }) => [
    state,
    share,
    Object.entries(pods)
      .map(([revision, count]) => `${count} ${revision}`)
      .join(', '),
    atLeastMs === 0 ? '' : formatDuration(atLeastMs),
    gate ? 'promote' : '',
  ])
  const head = ['STATE', 'SHARE', 'PODS', 'AT LEAST', 'WAITS FOR']
  const wide = table([[...head, 'WHAT HAPPENS'], ...rows.map((row, i) => [...row, steps[i]?.what ?? ''])], '  ')
  if (wide.every((line) => line.length <= width)) return ['', ...wide, '']
  const [first = '', ...narrow] = table([head, ...rows], '  ')
  return ['', first, ...narrow.flatMap((line, i) => [line, ...paragraph('', steps[i]?.what ?? '', width)]), '']
}
