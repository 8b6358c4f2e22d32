// What the controllers of Gateways say of one route, read from its status. Pure. A route at one of its Gateways is to the
// rollout what a router is: somebody who shares requests out, and acknowledges the setting that he does it by.
import type { RouterFacts } from '../../rollout/observed.ts'
import { epochAnnotation, revisionOfGatewayService } from '../names.ts'
import type { ParentReference, Route, RouteCondition } from '../resources.ts'

/**
 * How long a Gateway that says it has accepted a route is given to bring it to its proxies, in milliseconds: acceptance
 * is the word of the control plane alone, and the Gateway API has no word for the rest.
 */
export const settleMs = 5000

/** One route at one of the Gateways that it names. */
export interface RouteAtGateway {
  /** `HTTPRoute fraud at Gateway gateways/public`. */
  readonly name: string
  readonly parent: ParentReference
  /** Its controller has taken exactly this generation, and knows all that it names. */
  readonly isCurrent: boolean
  /** Its controller sends requests by it, be it by an older generation. */
  readonly isUsed: boolean
  /** What its controller has against this generation, in its own words. */
  readonly objection?: string
}

/** @returns one entry for each Gateway that the route names, in that order */
export const acceptances = (route: Route): readonly RouteAtGateway[] => {
  const { generation = 0, namespace = '' } = route.metadata
  return (route.spec?.parentRefs ?? []).map((parent) => {
    const said = (route.status?.parents ?? []).filter(({ parentRef }) => isSame(parentRef, parent, namespace))
    const current = said.map(({ conditions = [] }) =>
      conditions.filter(({ observedGeneration }) => observedGeneration === generation),
    )
    const name = `${route.kind} ${route.metadata.name} at ${gatewayInWords(parent, namespace)}`
    const objection = current
      .flat()
      .find(({ type, status }) => status === 'False' && (type === 'Accepted' || type === 'ResolvedRefs'))
    return {
      name,
      parent,
      isCurrent: current.some((conditions) => isTrue(conditions, 'Accepted') && isTrue(conditions, 'ResolvedRefs')),
      isUsed: said.some(({ conditions = [] }) => isTrue(conditions, 'Accepted')),
      ...(objection && { objection: `${name}: ${objectionInWords(objection)}` }),
    }
  })
}

/** `Gateway gateways/public`, with the listener or the port where the route names one. */
export const gatewayInWords = ({ name, namespace, sectionName, port }: ParentReference, own: string): string =>
  `Gateway ${namespace ?? own}/${name}${sectionName === undefined ? '' : `, listener ${sectionName}`}${port === undefined ? '' : `, port ${port}`}`

/**
 * The facts that a rollout needs of a route.
 * @param wanted the epoch of the setting that is waited for
 * @param isSettled whether the Gateway has had the time to act by the generation that it has accepted
 */
export const factsOf = (
  route: Route,
  { name, isCurrent }: RouteAtGateway,
  wanted: number | undefined,
  isSettled: boolean,
): RouterFacts => {
  const epoch = Number(route.metadata.annotations?.[epochAnnotation] ?? Number.NaN)
  // A later number than ours means that the status was lost: that is true whatever the Gateway says.
  const isTold = Number.isSafeInteger(epoch) && (epoch !== wanted || (isCurrent && isSettled))
  const weights = (route.spec?.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs)
  const most = weights.toSorted((a, b) => (b.weight ?? 1) - (a.weight ?? 1))[0]
  return {
    name,
    isRoute: true,
    ...(isTold && { epoch }),
    ...(most && { serving: revisionOfGatewayService(most.name) }),
  }
}

const isTrue = (conditions: readonly RouteCondition[], type: string): boolean =>
  conditions.some((condition) => condition.type === type && condition.status === 'True')

const objectionInWords = ({ reason, message }: RouteCondition): string =>
  [reason, message].filter((part) => part !== undefined && part !== '').join(': ')

const isSame = (a: ParentReference, b: ParentReference, own: string): boolean =>
  a.name === b.name &&
  (a.namespace ?? own) === (b.namespace ?? own) &&
  a.sectionName === b.sectionName &&
  a.port === b.port
