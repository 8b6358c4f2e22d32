// Follows one ModelDeployment until its rollout is settled, and shows each change. It changes nothing, and a connection
// that breaks does not end it: the reflectors come back by themselves.
import type { HistoryEntry, ModelDeployment } from '../operator/api/modeldeployment.ts'
import { isForbidden, isUnauthorized } from '../operator/kube/errors.ts'
import { Reflector } from '../operator/kube/reflector.ts'
import { deployments, events, type ResourceType } from '../operator/kube/resources.ts'
import { Store } from '../operator/kube/store.ts'
import type { KubeObject } from '../operator/kube/types.ts'
import { labelKeys } from '../operator/modeldeployment/names.ts'
import { modelDeployments } from '../operator/modeldeployment/resources.ts'
import type { Logger } from '../operator/telemetry/log.ts'
import { timeOf, type Cluster } from './cluster.ts'
import { CliError, type Ending } from './failure.ts'
import { drawFrame, newLines, redrawn, type View } from './frame.ts'
import { painter } from './layout.ts'
import { isObserved, reportOf, type StatusReport } from './report.ts'
import type { Terminal } from './terminal.ts'

export interface WatchOptions {
  /** Goes on after the rollout is settled. */
  readonly forever: boolean
  /** Ends with `NoAnswer` when it is not settled by then; unset for as long as it takes. */
  readonly timeoutMs?: number
  /** One JSON object a line for each change. */
  readonly json: boolean
}

/** How often the picture is drawn again though nothing changed: its clocks go on. */
const tickMs = 1000
/** Changes that come together are shown together. */
const gatherMs = 100

/** @returns how it ended: `Done` when rolled out, `NotRolledOut` when it stopped otherwise */
export const watchRollout = async (
  cluster: Cluster,
  deployment: ModelDeployment,
  options: WatchOptions,
  terminal: Terminal,
): Promise<Ending> => {
  const { name, uid } = deployment.metadata
  const follower = await follow(cluster, name, terminal.signal)
  const screen = options.json
    ? jsonLines(terminal)
    : terminal.columns === undefined
      ? plainLines(terminal)
      : picture(terminal)
  const deadline = options.timeoutMs === undefined ? Infinity : performance.now() + options.timeoutMs
  try {
    for (;;) {
      if (follower.failure() !== undefined) throw follower.failure()
      const object = follower.object()
      if (object === undefined && terminal.signal.aborted) return endingOf(reportOf(deployment, undefined))
      if (object === undefined || object.metadata.uid !== uid)
        throw new CliError('Failed', `ModelDeployment ${name} was deleted.`, 'Apply it again, and watch that one.')
      const view: View = {
        report: reportOf(object, follower.workloads()),
        events: follower.events(),
        ...(follower.interrupted() !== undefined && { interrupted: follower.interrupted() ?? '' }),
      }
      screen(view, object.status?.history ?? [])
      if (!options.forever && isSettled(object, view.report)) return endingOf(view.report)
      if (terminal.signal.aborted) return endingOf(view.report)
      if (performance.now() > deadline)
        throw new CliError(
          'NoAnswer',
          `The rollout of ${name} is not settled within ${(options.timeoutMs ?? 0) / 1000} s: ${view.report.waitsFor?.message ?? view.report.phase}`,
          'Give --timeout more time, or ask kubectl slipway why.',
        )
      await follower.change(Math.min(tickMs, deadline - performance.now()))
    }
  } finally {
    await follower.stop()
  }
}

/** Nothing is under way and nothing will happen by itself; an unseen spec is still to be looked at. */
const isSettled = (object: ModelDeployment, { outcome }: StatusReport): boolean =>
  isObserved(object) && outcome !== 'UnderWay'

const endingOf = ({ outcome }: StatusReport): Ending => (outcome === 'RolledOut' ? 'Done' : 'NotRolledOut')

type Screen = (view: View, history: readonly HistoryEntry[]) => void

const picture = (terminal: Terminal): Screen => {
  let before: string | undefined
  return (view) => {
    const frame = drawFrame(view, terminal.now(), terminal.columns ?? 80, painter(terminal.colours))
    if (frame === before) return
    terminal.out(redrawn(frame, before))
    before = frame
  }
}

const plainLines = (terminal: Terminal): Screen => {
  let before: { report: StatusReport; history: readonly HistoryEntry[] } | undefined
  return ({ report }, history) => {
    for (const line of newLines(report, history, before, terminal.now())) terminal.out(`${line}\n`)
    before = { report, history }
  }
}

const jsonLines = (terminal: Terminal): Screen => {
  let before = ''
  return ({ report }) => {
    const line = JSON.stringify(report)
    if (line !== before) terminal.out(`${line}\n`)
    before = line
  }
}

/** The object, its Deployments and its Events, kept current. Reading the latter two is not needed to go on. */
const follow = async ({ client, namespace }: Cluster, name: string, cancelled: AbortSignal) => {
  const stop = new AbortController()
  let interrupted: string | undefined
  let failure: unknown
  let wake: (() => void) | undefined
  const changed = (): void => wake?.()
  cancelled.addEventListener('abort', changed, { once: true })

  const reflect = <T extends KubeObject>(
    type: ResourceType<T>,
    selector: { readonly fieldSelector?: string; readonly labelSelector?: string },
    isNeeded: boolean,
  ) => {
    const store = new Store<T>()
    let denied = false
    // A reflector tells of trouble through its log, and never gives up; what is denied will not come by waiting.
    const log: Logger = {
      debug: () => {},
      info: () => {
        interrupted = undefined
        changed()
      },
      warn: (message, fields) => {
        const error = fields?.['error']
        denied = isForbidden(error) || isUnauthorized(error)
        if (denied && isNeeded) failure = error
        if (!denied) interrupted = message
        changed()
      },
      error: () => {},
      child: () => log,
    }
    store.subscribe(changed)
    const running = new Reflector({ client, type, store, namespace, log, ...selector }).run(stop.signal)
    return { store, running, isThere: () => store.synced, isKnown: () => store.synced || denied }
  }
  const objects = reflect(modelDeployments, { fieldSelector: `metadata.name=${name}` }, true)
  const workloads = reflect(deployments, { labelSelector: `${labelKeys.modelDeployment}=${name}` }, false)
  const about = `involvedObject.kind=ModelDeployment,involvedObject.name=${name}`
  const happened = reflect(events, { fieldSelector: about }, false)
  const all = [objects, workloads, happened]

  /** Resolves after a change, when the person has had enough, or after `atMostMs`. */
  const change = async (atMostMs: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timers = [setTimeout(resolve, Math.max(0, atMostMs))]
    wake = () => timers.push(setTimeout(resolve, gatherMs))
    await promise
    wake = undefined
    for (const timer of timers) clearTimeout(timer)
  }
  // An empty list tells no subscriber; a first look is due soon anyway.
  const goesOn = (): boolean => failure === undefined && !cancelled.aborted && !all.every(({ isKnown }) => isKnown())
  while (goesOn()) await change(gatherMs)
  return {
    object: () => objects.store.get(namespace, name),
    workloads: () => (workloads.isThere() ? [...workloads.store.list()] : undefined),
    events: () => [...happened.store.list()].toSorted((a, b) => timeOf(a).localeCompare(timeOf(b))),
    interrupted: () => interrupted,
    failure: () => failure,
    change,
    stop: async () => {
      cancelled.removeEventListener('abort', changed)
      stop.abort()
      await Promise.all(all.map(({ running }) => running))
    },
  }
}
