// The part of a Gateway's controller, played by hand: it writes what it thinks of each route into the route's status,
// as a test says. Real: the API server, the CRDs of the Gateway API and their validation. No request is ever sent; it
// must never write anything but the status of routes.
import { isDeepStrictEqual } from 'node:util'
import type { KubeClient } from '../../../operator/kube/client.ts'
import { isConflict, isNotFound } from '../../../operator/kube/errors.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { Store } from '../../../operator/kube/store.ts'
import type { ResourceType } from '../../../operator/kube/resources.ts'
import { gateways, grpcRoutes, httpRoutes, type Route } from '../../../operator/modeldeployment/resources.ts'
import { silent } from '../../../operator/telemetry/log.ts'

/** What the controller thinks of a route at a Gateway. */
export type Opinion =
  | { readonly do: 'accept' }
  | { readonly do: 'refuse'; readonly reason: string; readonly message: string }
  /** Its backends are not found. */
  | { readonly do: 'doubt'; readonly reason: string; readonly message: string }
  /** Nothing is written: it is slow, or there is no controller. */
  | { readonly do: 'nothing' }

export type OpinionOf = (route: Route, gateway: string) => Opinion | undefined

export interface PlayedGateways {
  /** From now on the first opinion that is one decides; call the result to take it away. */
  think(opinion: OpinionOf): () => void
  /** Creates a Gateway that routes may name. */
  create(name: string): Promise<void>
  remove(name: string): Promise<void>
  close(): Promise<void>
}

const controllerName = 'test.slipway.dev/by-hand'

export const startGateways = async (client: KubeClient, namespace: string): Promise<PlayedGateways> => {
  const stop = new AbortController()
  const opinions: OpinionOf[] = []
  const failures: unknown[] = []
  const writing = new Set<Promise<void>>()
  const kinds: readonly (readonly [ResourceType<Route>, Store<Route>])[] = [
    [httpRoutes, new Store<Route>()],
    [grpcRoutes, new Store<Route>()],
  ]
  const look = (type: ResourceType<Route>, route: Route): void => {
    const turn = judge(client, type, route, opinions).catch((error: unknown) => {
      // Gone, or written by somebody else since: the next event brings it again.
      if (!isNotFound(error) && !isConflict(error)) failures.push(error)
    })
    writing.add(turn)
    void turn.finally(() => writing.delete(turn))
  }
  const following = kinds.map(([type, store]) => {
    store.subscribe((event) => {
      if (event.type !== 'deleted') look(type, event.object)
    })
    return new Reflector({ client, type, store, namespace, log: silent }).run(stop.signal)
  })
  await Promise.all(kinds.map(([, store]) => store.whenSynced()))
  const lookAtAll = (): void => {
    for (const [type, store] of kinds) for (const route of store.list()) look(type, route)
  }
  return {
    think: (opinion) => {
      opinions.unshift(opinion)
      lookAtAll()
      return () => {
        opinions.splice(opinions.indexOf(opinion), 1)
        lookAtAll()
      }
    },
    create: async (name) => {
      const listeners = [{ name: 'http', port: 80, protocol: 'HTTP' }]
      await client.create(gateways, {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { name, namespace },
        spec: { gatewayClassName: 'by-hand', listeners },
      })
    },
    remove: async (name) => {
      await client.delete(gateways, namespace, name)
    },
    close: async () => {
      stop.abort()
      await Promise.all([...following, ...writing])
      if (failures.length > 0) throw new AggregateError(failures, 'the API server refused what was played')
    },
  }
}

const judge = async (
  client: KubeClient,
  type: ResourceType<Route>,
  route: Route,
  opinions: readonly OpinionOf[],
): Promise<void> => {
  const { namespace, name, generation = 0, resourceVersion } = route.metadata
  const thought = (route.spec?.parentRefs ?? []).map((parentRef) => {
    const opinion = opinions.map((of) => of(route, parentRef.name)).find((each) => each !== undefined)
    return { parentRef, opinion: opinion ?? ({ do: 'accept' } as const) }
  })
  // A controller that says nothing leaves what it said of an older generation.
  if (thought.some(({ opinion }) => opinion.do === 'nothing')) return
  const parents = thought.map(({ parentRef, opinion }) => {
    const lastTransitionTime = new Date().toISOString()
    const condition = (kind: string, what: 'refuse' | 'doubt', good: string) => {
      const bad = opinion.do === what ? opinion : undefined
      const { reason, message } = bad ?? { reason: good, message: '' }
      const observedGeneration = generation
      return { type: kind, status: bad ? 'False' : 'True', reason, message, observedGeneration, lastTransitionTime }
    }
    return {
      parentRef,
      controllerName,
      conditions: [condition('Accepted', 'refuse', 'Accepted'), condition('ResolvedRefs', 'doubt', 'ResolvedRefs')],
    }
  })
  if (isDeepStrictEqual(timeless(route.status?.parents), timeless(parents))) return
  const patch = { metadata: { resourceVersion }, status: { parents } }
  await client.mergePatch(type, namespace, name, patch, { subresource: 'status' })
}

/** What was said, without when. */
const timeless = (parents: unknown): unknown =>
  JSON.parse(JSON.stringify(parents ?? [], (key, value: unknown) => (key === 'lastTransitionTime' ? undefined : value)))
