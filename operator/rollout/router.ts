// A candidate where routers share the traffic out: from its state to the function that decides in it. Pure.
import type { Candidate } from '../api/modeldeployment.ts'
import { type Decision, type Situation, carried, entered, move, withoutDeadline } from './decision.ts'
import { awaitsRoom, isHeld, overdue, withDeadlines } from './states/checks.ts'
import { provisioning, shadowing, validating } from './states/checking.ts'
import { fail, leaving } from './states/leaving.ts'
import { pending } from './states/pending.ts'
import { inStep, watchStable } from './states/step.ts'

export const routerStep = (situation: Situation, persisted: Candidate): Decision => {
  const { spec, now } = situation
  const held = isHeld(situation, persisted)
  const waits = held || awaitsRoom(situation, persisted)
  const candidate = waits ? withoutDeadline(persisted) : withDeadlines(spec, persisted, now)
  switch (persisted.state) {
    case 'Pending': {
      const late = overdue(situation, candidate)
      if (late !== undefined) return fail(situation, candidate, late)
      return situation.seen.refusal === undefined
        ? pending(situation, candidate, held)
        : { kind: 'Stay', candidate: withoutDeadline(candidate) }
    }
    case 'Provisioning':
      return provisioning(situation, candidate)
    case 'Validating':
      return validating(situation, candidate)
    case 'Shadowing':
      return shadowing(situation, candidate)
    case 'Canary':
    case 'Promoting':
      return inStep(situation, watchStable(situation, candidate))
    case 'Superseding':
    case 'RollingBack':
      return leaving(situation, withoutDeadline(persisted))
    default:
      // Another release can leave a state behind that this one does not know; its pods are there, so it goes on from them.
      return move(
        situation,
        { ...carried(candidate), ...entered('Provisioning', spec, now) },
        'Provisioning',
        `${candidate.revision} was in ${persisted.state}, which this release does not know: it is checked again.`,
      )
  }
}
