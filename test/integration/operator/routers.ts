// Routers, as far as the operator can tell: the pods of slipway-router at an address of this machine, and one HTTP server
// there that answers GET /state for each of them, told apart by the name that is asked for. It applies what
// status.traffic says, unless a router is held back, and counts what a test sends. Nothing of it is the real agent.
import { createServer } from 'node:http'
import { networkInterfaces } from 'node:os'
import type { ModelDeployment } from '../../../operator/api/modeldeployment.ts'
import { agentPort, type ModelTraffic, type RouterState } from '../../../operator/api/routerstate.ts'
import { Reflector } from '../../../operator/kube/reflector.ts'
import { Store } from '../../../operator/kube/store.ts'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { silent } from '../../../operator/telemetry/log.ts'
import type { Stage } from './stage.ts'

export interface PlayedRouters {
  /** Names of the router pods that are not going. */
  pods(): string[]
  /** From now on this router applies nothing more, and says why where a reason is given; call the result to let it go on. */
  hold(pod: string, why?: string): () => void
  /** Every router sends so many requests more to these revisions; the second number is how many of them fail. */
  send(model: string, requests: Readonly<Record<string, readonly [requests: number, failures: number]>>): void
  /** How often any router was asked. */
  asked(): number
  close(): Promise<void>
}

interface Applied {
  readonly epoch: number
  readonly weights: Readonly<Record<string, number>>
}

/** An address of this machine that an EndpointSlice may hold: not loopback, not link-local. */
const ownAddress = (): string => {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const found = addresses.find((a) => a.family === 'IPv4' && !a.internal && !a.address.startsWith('169.254.'))
  if (found === undefined)
    throw new Error('this machine has no IPv4 address but loopback, which no EndpointSlice may hold')
  return found.address
}

export const startRouters = async (stage: Stage): Promise<PlayedRouters> => {
  const { client, namespace, hands } = stage
  const address = ownAddress()
  const stop = new AbortController()
  const store = new Store<ModelDeployment>()
  const applied = new Map<string, Applied>()
  const counted = new Map<string, { requests: number; failures: number }>()
  const held = new Map<string, string | undefined>()
  let questions = 0

  const modelOf = (pod: string, deployment: ModelDeployment): ModelTraffic[] => {
    const { name, uid = '' } = deployment.metadata
    const { traffic } = deployment.status ?? {}
    if (traffic?.port === undefined) return []
    const key = `${pod}/${uid}`
    const before = applied.get(key)
    if (!held.has(pod) && traffic.epoch > (before?.epoch ?? -1))
      applied.set(key, {
        epoch: traffic.epoch,
        weights: Object.fromEntries(traffic.weights.map((w) => [w.revision, w.weight])),
      })
    const now = applied.get(key)
    const problem = now?.epoch === traffic.epoch ? undefined : held.get(pod)
    const revisions = new Set([...Object.keys(now?.weights ?? {}), ...counted.keys()].filter((r) => r.startsWith(name)))
    return [
      {
        name,
        uid,
        port: traffic.port,
        ...(now && { appliedEpoch: now.epoch }),
        wantedEpoch: traffic.epoch,
        ...(problem !== undefined && { problem }),
        emptied: [],
        revisions: [...revisions].map((revision) => {
          const { requests = 0, failures = 0 } = counted.get(revision) ?? {}
          return {
            revision,
            weight: now?.weights[revision] ?? 0,
            readyEndpoints: 1,
            requests: {
              completed: requests,
              s2xx: requests - failures,
              s3xx: 0,
              s4xx: 0,
              s5xx: failures,
              timeouts: 0,
              connectFailures: 0,
              resets: 0,
              overflows: 0,
            },
            grpc: { success: 0, failure: 0 },
            retries: 0,
            ejections: 0,
            latency: [],
          }
        }),
      },
    ]
  }

  const server = createServer((request, response) => {
    questions += 1
    const router = request.headers.host ?? ''
    const models = [...store.list()].flatMap((deployment) => modelOf(router, deployment))
    const state: RouterState = { router, bootId: 'boot-1', at: Date.now(), draining: false, models }
    response.end(JSON.stringify(state))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(agentPort, address, resolve)
  })
  const following = new Reflector({ client, type: modelDeployments, store, namespace, log: silent }).run(stop.signal)
  await store.whenSynced()
  const unrule = hands.rule(({ pod }) =>
    pod.metadata.labels?.['app.kubernetes.io/name'] === 'slipway-router' ? { do: 'serve', ip: address } : undefined,
  )
  return {
    pods: () =>
      hands
        .pods()
        .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === 'slipway-router')
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map(({ metadata }) => metadata.name)
        .toSorted(),
    hold: (pod, why) => {
      held.set(pod, why)
      return () => held.delete(pod)
    },
    send: (model, requests) => {
      for (const [revision, [n, failures]] of Object.entries(requests)) {
        if (!revision.startsWith(model)) throw new Error(`${revision} is no revision of ${model}`)
        const sum = counted.get(revision) ?? { requests: 0, failures: 0 }
        counted.set(revision, { requests: sum.requests + n, failures: sum.failures + failures })
      }
    },
    asked: () => questions,
    close: async () => {
      unrule()
      stop.abort()
      await following
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
