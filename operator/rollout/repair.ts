// What is put right before anything else: a traffic setting that routers would refuse, or that nobody stands for, and a
// stable revision that a lost status forgot. Pure; routers only.
import type { StablePointer } from '../api/modeldeployment.ts'
import { type Decision, type Rollout, type Situation, at, placeOf, pointerFacts, without } from './decision.ts'
import { homeSetting, isHome } from './states/leaving.ts'
import type { RouterFacts } from './observed.ts'
import { contradicts, newSetting } from './traffic.ts'

export const repair = (situation: Situation): Decision | undefined => adopt(situation) ?? renumber(situation)

/** The status was lost, in whole or in part, while users were being answered: what answers them is stable. */
const adopt = ({ rollout, seen, now }: Situation): Decision | undefined => {
  const { traffic, candidate } = rollout
  if (rollout.stable !== undefined) return undefined
  const weighted = traffic?.weights.toSorted((a, b) => b.weight - a.weight)[0]?.revision
  // A router that has applied a later setting knows better than a status that was lost and begun again.
  const knowsBetter = (r: RouterFacts): boolean =>
    (r.epoch ?? 0) > (traffic?.epoch ?? 0) || (traffic !== undefined && contradicts(r, traffic))
  const served = (seen.routers ?? []).filter(knowsBetter).flatMap((r) => r.serving ?? [])
  const serving = weighted ?? served[0]
  if (serving === undefined || (weighted === undefined && served.some((name) => name !== serving))) return undefined
  // A first version on its way to its users is no loss.
  if (weighted !== undefined && candidate?.revision === serving) return undefined
  const kept = seen.revisions.find((r) => r.name === serving)
  if (kept === undefined) return undefined
  const stable: StablePointer = { ...pointerFacts(kept), promotedAt: at(now) }
  const rest: Rollout = candidate?.revision === serving ? without(rollout, 'candidate') : rollout
  return {
    kind: 'Move',
    rollout: { ...rest, stable, traffic: newSetting(traffic, seen, { [serving]: 1000 }) },
    transition: {
      from: placeOf(rollout.candidate),
      to: placeOf(rest.candidate),
      reason: 'Recovered',
      revision: serving,
      message: `The status named no stable revision, and users are answered by ${serving}: it is stable.`,
    },
  }
}

/** A setting that every router takes: numbered above what any has applied, and for the revisions that there are. */
const renumber = (situation: Situation): Decision | undefined => {
  const { rollout, seen } = situation
  const { traffic, candidate, stable } = rollout
  const astray = stable !== undefined && (traffic === undefined || (candidate === undefined && !isHome(rollout)))
  const known = Math.max(0, ...(seen.routers ?? []).map((r) => r.epoch ?? 0))
  const ahead = traffic !== undefined && known > traffic.epoch
  const other = traffic !== undefined && seen.routers?.some((r) => contradicts(r, traffic)) === true
  if (!astray && !ahead && !other) return undefined
  const renewed = astray
    ? homeSetting(situation)
    : newSetting(
        traffic,
        seen,
        Object.fromEntries((traffic?.weights ?? []).map(({ revision, weight }) => [revision, weight])),
        traffic?.mirror,
      )
  const place = placeOf(candidate)
  return {
    kind: 'Move',
    rollout: { ...rollout, traffic: renewed },
    transition: {
      from: place,
      to: place,
      reason: 'EpochRaised',
      message: ahead
        ? `A router has applied epoch ${known}, later than ${traffic.epoch} of the status: the setting is numbered ${renewed.epoch}.`
        : other
          ? `A router has applied other shares as epoch ${traffic.epoch}: the setting is numbered ${renewed.epoch}.`
          : `All requests go to ${stable?.revision ?? ''}: epoch ${renewed.epoch}.`,
      ...((candidate ?? stable) && { revision: (candidate ?? stable)?.revision ?? '' }),
    },
  }
}
