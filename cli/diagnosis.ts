// Why a ModelDeployment is as it is: the cause, the evidence and the fix. Pure. It finds no words of its own: a cause and
// a fix are those of the table of reasons, and evidence is what the operator, pods, Events and logs have said.
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import type { KubeEvent, Pod } from '../operator/kube/resources.ts'
import { labelKeys } from '../operator/modeldeployment/names.ts'
import { troubleOf } from '../operator/modeldeployment/trouble.ts'
import { closed, paragraph, type Paint } from './layout.ts'
import { conditionOf, fixOf, meaningOf, reportOf } from './report.ts'

/** The end of what a container wrote. */
export interface LogTail {
  readonly pod: string
  readonly container: string
  /** Of the run before the present one. */
  readonly previous: boolean
  readonly lines: readonly string[]
}

export interface Finding {
  readonly reason: string
  readonly revision?: string
  /** What it means, in one sentence. */
  readonly cause: string
  /** Who says so, and what: the operator's sentence first, then pods, Events and logs. */
  readonly evidence: readonly { readonly from: string; readonly text: string }[]
  /** What a person does about it; unset where nothing is to be done. */
  readonly fix?: string
}

export interface WhyReport {
  readonly kind: 'Why'
  readonly namespace: string
  readonly name: string
  readonly outcome: 'RolledOut' | 'UnderWay' | 'Held' | 'Stalled'
  /** Whether users are answered, in the operator's sentence. */
  readonly users?: string
  /** Empty when nothing is wrong and nothing is waited for. */
  readonly findings: readonly Finding[]
  readonly summary: string
}

/** What the diagnosis is made of. */
export interface Clues {
  readonly deployment: ModelDeployment
  readonly pods: readonly Pod[]
  /** Oldest first. */
  readonly events: readonly KubeEvent[]
  readonly logs: readonly LogTail[]
}

/** Events that are shown of each finding, the latest. */
const eventLimit = 3

export const whyOf = ({ deployment, pods, events, logs }: Clues): WhyReport => {
  const { metadata } = deployment
  const { outcome } = reportOf(deployment, undefined)
  const users = conditionOf(deployment, 'Available')?.message
  const findings = problemsOf(deployment).map(({ reason, message, revision }): Finding => {
    // A pod that has done its work (a model was read) ails from nothing.
    const concerned = pods.filter(
      (pod) => pod.status?.phase !== 'Succeeded' && (revision === undefined || belongsTo(pod, revision)),
    )
    const said = [
      { from: 'operator', text: closed(message) },
      ...podWords(concerned, message),
      ...eventWords(events, revision ?? metadata.name, message),
      ...logWords(logs, concerned),
    ]
    const fix = fixOf(reason)
    return {
      reason,
      ...(revision !== undefined && { revision }),
      cause: meaningOf(reason),
      evidence: said,
      ...(fix !== '' && { fix }),
    }
  })
  return {
    kind: 'Why',
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    outcome,
    ...(users !== undefined && { users }),
    findings,
    summary: conditionOf(deployment, 'Ready')?.message ?? '',
  }
}

interface Problem {
  readonly reason: string
  readonly message: string
  readonly revision?: string
}

/** What is not as it should be, the worst first: users who are not answered, then a spec that does not get through. */
const problemsOf = (deployment: ModelDeployment): Problem[] => {
  const { outcome, waitsFor } = reportOf(deployment, undefined)
  const { candidate, stable, rejected = [] } = deployment.status ?? {}
  const available = conditionOf(deployment, 'Available')
  const problems: Problem[] = []
  if (available?.status === 'False')
    problems.push({
      reason: available.reason,
      message: available.message,
      ...(stable && { revision: stable.revision }),
    })
  if (waitsFor === undefined) return problems
  const rejection = outcome === 'Stalled' ? rejected.find((r) => waitsFor.message.includes(r.message)) : undefined
  const about = rejection ?? (outcome === 'UnderWay' ? (candidate ?? stable) : undefined)
  const progress: Problem = {
    reason: waitsFor.reason,
    message: rejection?.message ?? (outcome === 'UnderWay' ? candidate?.message : undefined) ?? waitsFor.message,
    ...(about && { revision: about.revision }),
  }
  return problems.some((p) => p.reason === progress.reason) ? problems : [...problems, progress]
}

/** A pod that serves a revision, or that reads its model. */
const belongsTo = ({ metadata: { labels = {} } }: Pod, revision: string): boolean =>
  labels[labelKeys.revision] === revision || labels[labelKeys.resolves] === revision

/** What ails the pods: of each reason the first that says it, and how many there are. */
const podWords = (pods: readonly Pod[], known: string): Finding['evidence'] => {
  const byReason = new Map<string, { readonly pod: string; readonly message: string }[]>()
  for (const pod of pods.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))) {
    const trouble = troubleOf([pod])
    if (trouble === undefined) continue
    const same = byReason.get(trouble.reason) ?? []
    byReason.set(trouble.reason, [...same, { pod: pod.metadata.name, message: trouble.message }])
  }
  return [...byReason].flatMap(([reason, [first, ...more]]) => {
    const words: { from: string; text: string }[] = []
    if (first !== undefined && !known.includes(first.message))
      words.push({ from: `pod ${first.pod}`, text: closed(first.message) })
    if (more.length > 0) words.push({ from: 'pods', text: `${more.length + 1} of ${pods.length} say ${reason}.` })
    return words
  })
}

const eventWords = (events: readonly KubeEvent[], about: string, known: string): Finding['evidence'] => {
  const seen = new Set<string>()
  const warnings = events.filter(({ type, message = '', involvedObject: { name = '' } }) => {
    const fits = type === 'Warning' && (name === about || name.startsWith(`${about}-`))
    const isNews = message !== '' && !known.includes(message) && !seen.has(message)
    if (fits && isNews) seen.add(message)
    return fits && isNews
  })
  return warnings.slice(-eventLimit).map(({ reason = '', count = 1, message = '', involvedObject }) => ({
    from: `Event ${reason}${count > 1 ? ` (${count} times)` : ''} of ${involvedObject.kind ?? ''} ${involvedObject.name ?? ''}`,
    text: message,
  }))
}

const logWords = (logs: readonly LogTail[], pods: readonly Pod[]): Finding['evidence'] =>
  logs
    .filter(({ pod, lines }) => lines.length > 0 && pods.some((p) => p.metadata.name === pod))
    .map(({ pod, container, previous, lines }) => ({
      from: `log of ${pod}, container ${container}${previous ? ', the run before' : ''}`,
      text: lines.join('\n'),
    }))

/** A container whose end, or wait, keeps its pod from being ready: whose log tells more. */
export const failingContainers = (pods: readonly Pod[]): { pod: string; container: string; previous: boolean }[] =>
  pods
    .filter((pod) => pod.metadata.deletionTimestamp === undefined && troubleOf([pod]) !== undefined)
    .flatMap(({ metadata, status }) => {
      const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
      const failing = containers.find(
        (c) =>
          (c.state?.terminated?.exitCode ?? 0) !== 0 || (!c.ready && (c.lastState?.terminated?.exitCode ?? 0) !== 0),
      )
      return failing === undefined
        ? []
        : [{ pod: metadata.name, container: failing.name, previous: failing.state?.terminated === undefined }]
    })

export const renderWhy = (report: WhyReport, width: number, paint: Paint): string => {
  const { name, namespace, findings, users, summary } = report
  if (findings.length === 0)
    return [`${paint('bold', name)} in ${namespace}: nothing is wrong.`, ...paragraph('', summary, width)].join('\n')
  const lines = findings.flatMap(({ reason, revision, cause, evidence, fix }) => [
    `${paint('bold', name)} in ${namespace}: ${paint(fix === undefined ? 'yellow' : 'red', reason)}${revision === undefined ? '' : `, ${revision}`}`,
    ...paragraph('cause', cause, width),
    ...evidence.flatMap(({ from, text }, i) =>
      paragraph(i === 0 ? 'evidence' : '', from === 'operator' ? text : `${from}: ${text}`, width),
    ),
    ...paragraph('fix', fix ?? 'Nothing is to be done: it goes on by itself.', width),
    '',
  ])
  return [...lines, ...(users === undefined ? [] : paragraph('users', users, width))].join('\n').trimEnd()
}
