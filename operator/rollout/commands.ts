// The commands of a person: each carried out at most once, only on the revision that it names, and answered in
// status.lastCommand in the same write as its effect. Pure.
import type { Candidate, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import { isFast, stepTo } from './begin.ts'
import { hasTraffic } from './direct.ts'
import {
  type Decision,
  type Situation,
  at,
  isDirect,
  isPast,
  isUncounted,
  move,
  placeOf,
  reject,
  rejectionOf,
  remembered,
  without,
} from './decision.ts'
import type { Command } from './observed.ts'
import { isProvisioned } from './states/checks.ts'
import { fail, isLeaving } from './states/leaving.ts'
import { beyond } from './states/step.ts'
import { stepOf } from './steps.ts'
import { cut } from './text.ts'
import { isAcknowledged } from './traffic.ts'

export const operations = ['promote', 'pause', 'resume', 'abort', 'retry', 'rollback'] as const
type Operation = (typeof operations)[number]

type Answer = NonNullable<ModelDeploymentStatus['lastCommand']>
type Order = Extract<Command, { kind: 'Order' }>

/** What an operation comes to: why not, or what happens. `Done` without a move: it was so already. */
type Effect = { readonly refused: string } | { readonly done: string; readonly move?: Decision }

const earlierLimit = 20

/** The command on the object, unless it has been answered. */
export const obey = (situation: Situation): Decision | undefined => {
  const { command } = situation.seen
  const last = situation.rollout.lastCommand
  if (command === undefined || isAnswered(last, command)) return undefined
  const answer = (result: string, message: string): Answer => {
    const ids = [...(last?.earlier ?? []), ...(last === undefined || last.id === '' ? [] : [last.id])]
    const earlier = ids.filter((id, i) => ids.lastIndexOf(id) === i).slice(-earlierLimit)
    return {
      id: command.id,
      op: command.op,
      result,
      message: cut(message),
      at: at(situation.now),
      ...(earlier.length > 0 && { earlier }),
    }
  }
  const effect = effectOf(situation, command)
  if ('refused' in effect)
    return { kind: 'Answer', rollout: { ...situation.rollout, lastCommand: answer('Refused', effect.refused) } }
  const lastCommand = answer('Done', effect.done)
  if (effect.move === undefined || effect.move.kind !== 'Move')
    return { kind: 'Answer', rollout: { ...situation.rollout, lastCommand } }
  const { rollout, transition } = effect.move
  const by = command.kind === 'Order' && command.by !== '' ? { by: cut(command.by, 256) } : {}
  return { kind: 'Move', rollout: { ...rollout, lastCommand }, transition: { ...transition, ...by } }
}

const isAnswered = (last: Answer | undefined, { id, op }: Command): boolean =>
  last !== undefined &&
  (id === '' ? last.id === id && last.op === op : last.id === id || last.earlier?.includes(id) === true)

const effectOf = (situation: Situation, command: Command): Effect => {
  if (command.kind === 'Malformed') return { refused: command.message }
  if (!isOperation(command.op))
    return { refused: `${command.op} is no command; the commands are ${operations.join(', ')}.` }
  return (isDirect(situation.spec) ? directEffects : effects)[command.op](situation, command)
}

const isOperation = (op: string): op is Operation => operations.some((known) => known === op)

const onCandidate = (situation: Situation, order: Order, act: Act): Effect => {
  const { candidate } = situation.rollout
  if (candidate === undefined) return { refused: `No rollout is under way, so there is nothing to ${order.op}.` }
  if (order.candidate !== candidate.revision)
    return {
      refused: `The command is about ${order.candidate === '' ? 'no revision' : order.candidate}, and the candidate is ${candidate.revision}: name that one in "candidate".`,
    }
  if (isLeaving(candidate))
    return { refused: `${candidate.revision} is being taken back already (${candidate.state}).` }
  return act(situation, candidate, order)
}

type Act = (situation: Situation, candidate: Candidate, order: Order) => Effect

const because = ({ by, reason }: Order): string =>
  `${by === '' ? 'A command' : by}${reason === '' ? '' : `, because: ${reason}`}`

const pause = (situation: Situation, candidate: Candidate, order: Order): Effect => {
  const done = `${candidate.revision} is held in ${placeOf(candidate)}; it is still taken back when it fails.`
  if (candidate.pausedBy !== undefined) return { done }
  const paused = { ...candidate, pausedBy: cut(order.by === '' ? 'a command' : order.by, 256) }
  return { done, move: move(situation, paused, 'Paused', `${done} By ${because(order)}.`) }
}

const resume = (situation: Situation, candidate: Candidate, order: Order): Effect => {
  if (candidate.pausedBy === undefined)
    return {
      refused: situation.spec.rollout.paused
        ? 'No command holds the rollout but spec.rollout.paused: set it to false.'
        : 'Nothing holds the rollout.',
    }
  const done = `${candidate.revision} goes on in ${placeOf(candidate)}${situation.spec.rollout.paused ? ' as soon as spec.rollout.paused is false' : ''}.`
  return { done, move: move(situation, without(candidate, 'pausedBy'), 'Resumed', `${done} By ${because(order)}.`) }
}

const abort = (situation: Situation, candidate: Candidate, order: Order): Effect => {
  const message = `Stopped in ${placeOf(candidate)} by ${because(order)}.`
  return {
    done: `${candidate.revision} is taken back.`,
    move: fail(situation, candidate, { reason: 'Aborted', message }, order.by === '' ? undefined : cut(order.by, 256)),
  }
}

/** Passes a gate, or lets a step pass that waits for evidence; the pods must be there and the routers agree. */
const promote = (situation: Situation, candidate: Candidate, order: Order): Effect => {
  const { spec, rollout, seen, now } = situation
  const place = placeOf(candidate)
  if (candidate.substep !== 'Gate' && (candidate.substep !== 'Analyse' || candidate.state === 'Shadowing'))
    return { refused: `${candidate.revision} is in ${place}, where nobody has to promote it.` }
  if (spec.rollout.paused || candidate.pausedBy !== undefined || seen.refusal !== undefined)
    return { refused: 'The rollout is held: resume it first, or set spec.rollout.paused to false.' }
  if (!isProvisioned(seen, candidate) || !isAcknowledged(seen, rollout.traffic))
    return {
      refused:
        'Its pods are not all ready, or a router or a Gateway has not applied its share: nothing goes on until then.',
    }
  const waited = stepOf(spec, candidate.stepWeight ?? 0).minDurationMs
  const over = now >= Date.parse(candidate.ackedAt ?? candidate.enteredAt) + waited
  if (
    candidate.substep === 'Analyse' &&
    order.reason === '' &&
    !(over && (isUncounted(spec) || isPast(candidate.deadlineAt, now)))
  )
    return { refused: 'Its step is still being judged: wait, or give a "reason" to go on without the evidence.' }
  const why = `Promoted in ${place} by ${because(order)}.`
  return {
    done: `${candidate.revision} goes on from ${place}.`,
    move: beyond(situation, without(candidate, 'deadlineAt', 'endsBy'), why, 'PromotedByHand'),
  }
}

const retry = ({ rollout, seen, spec }: Situation, order: Order): Effect => {
  const { target } = seen
  const rejection = rollout.rejected?.find((r) => r.revision === order.candidate)
  if (rejection === undefined) return { refused: `${order.candidate} was not rejected, so it needs no retry.` }
  if (target.kind !== 'Revision' || target.hash !== rejection.hash)
    return { refused: `The spec does not ask for ${order.candidate}: apply its spec first.` }
  if (rejectionOf(rollout, rejection.hash, spec) === undefined)
    return { done: `${order.candidate} is tried again already.` }
  const rejected = (rollout.rejected ?? []).map((r) => (r === rejection ? { ...r, rearmed: true } : r))
  const place = placeOf(rollout.candidate)
  return {
    done: `${order.candidate} is tried again.`,
    move: {
      kind: 'Move',
      rollout: { ...rollout, rejected },
      transition: {
        from: place,
        to: place,
        reason: 'Retried',
        revision: order.candidate,
        message: `${order.candidate} is tried again. By ${because(order)}.`,
      },
    },
  }
}

/** Stable itself is taken back, to the previous revision that is still warm. */
const rollback = (situation: Situation, order: Order): Effect => {
  const { rollout, spec, seen, now } = situation
  const { stable, previous } = rollout
  if (stable === undefined) return { refused: 'No version has been rolled out yet.' }
  if (order.candidate !== stable.revision)
    return { refused: `Users are on ${stable.revision}: name that one in "candidate" to take it back.` }
  if (previous === undefined || !isFast(situation, previous))
    return { refused: 'No previous revision is warm any more: name a kept one in spec.rollback.to.' }
  if (seen.refusal !== undefined || spec.replicas === 0) return { refused: 'Nothing can go on with this spec.' }
  const message = `Taken back by ${because(order)}.`
  const rejected = remembered(rollout, stable, { reason: 'TakenBack', message }, spec.rollout.retryToken, now)
  return {
    done: `Users go back from ${stable.revision} to ${previous.revision}.`,
    move: stepTo({ ...situation, rollout: { ...rollout, rejected } }, previous, true, 'SteppedBack', message),
  }
}

const onThe =
  (act: Act) =>
  (situation: Situation, order: Order): Effect =>
    onCandidate(situation, order, act)

const effects: Readonly<Record<Operation, (situation: Situation, order: Order) => Effect>> = {
  promote: onThe(promote),
  pause: onThe(pause),
  resume: onThe(resume),
  abort: onThe(abort),
  retry,
  rollback: (situation, order) =>
    situation.rollout.candidate === undefined ? rollback(situation, order) : onCandidate(situation, order, abort),
}

/** Nobody has been sent to the candidate, so it ends at once. */
const abortDirect: Act = (situation, candidate, order) => {
  if (hasTraffic(situation.seen, candidate))
    return {
      refused: `The Service points at ${candidate.revision} already: change spec.model, or set spec.rollback.to.`,
    }
  const message = `Stopped in ${placeOf(candidate)} by ${because(order)}.`
  const by = order.by === '' ? undefined : cut(order.by, 256)
  return {
    done: `${candidate.revision} is stopped.`,
    move: reject(situation, candidate, { reason: 'Aborted', message, fatal: true }, by),
  }
}

/** In mode Direct the Service moves all users at once: there are no shares to promote or to step back from. */
const directEffects: typeof effects = {
  promote: () => ({
    refused: 'In traffic.mode Direct users go over all at once when every pod is ready: there is no step to promote.',
  }),
  pause: onThe(pause),
  resume: onThe(resume),
  abort: onThe(abortDirect),
  retry,
  rollback: (situation, order) =>
    situation.rollout.candidate === undefined
      ? { refused: 'In traffic.mode Direct name the kept revision to go back to in spec.rollback.to.' }
      : onCandidate(situation, order, abortDirect),
}
