// What a user does and sees while an operator is measured: a change to a model, and the child that shows it.
import { setTimeout as sleep } from 'node:timers/promises'
import { isConflict, isNotFound, isRetryable } from '../../operator/kube/errors.ts'
import { Reflector } from '../../operator/kube/reflector.ts'
import { deployments, type Deployment } from '../../operator/kube/resources.ts'
import { Store } from '../../operator/kube/store.ts'
import { modelDeployments } from '../../operator/modeldeployment/resources.ts'
import { silent } from '../../operator/telemetry/log.ts'
import type { World } from './world.ts'

/** The child Deployments as the API server shows them, and the part of the Deployment controller for those that change. */
export interface Children {
  /** When this model's child was seen with so many replicas. */
  seen(name: string, replicas: number): Promise<number>
  close(): Promise<void>
}

export const followChildren = async ({ client, namespace }: World): Promise<Children> => {
  const store = new Store<Deployment>()
  const waiting = new Map<string, { readonly replicas: number; readonly resolve: (at: number) => void }>()
  const failures: unknown[] = []
  const playing = new Set<Promise<unknown>>()
  const stop = new AbortController()
  /** As a controller does it: again, until it is done, or there is nothing to do it to. */
  const play = async (name: string, status: object): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await client.mergePatch(deployments, namespace, name, { status }, { subresource: 'status' }) // oxlint-disable-line no-await-in-loop -- one try after the other
        return
      } catch (error) {
        if (isNotFound(error)) return
        if (!isRetryable(error) && !isConflict(error)) {
          failures.push(error)
          return
        }
        await sleep(500) // oxlint-disable-line no-await-in-loop -- the next try
      }
    }
  }
  store.subscribe(({ type, object, initial }) => {
    if (initial || type === 'deleted') return
    const at = performance.now()
    const name = object.metadata.labels?.['slipway.dev/model-deployment'] ?? ''
    const awaited = waiting.get(name)
    if (awaited !== undefined && awaited.replicas === object.spec?.replicas) {
      waiting.delete(name)
      awaited.resolve(at)
    }
    const { generation = 0 } = object.metadata
    if (object.status?.observedGeneration === generation) return
    const replicas = object.spec?.replicas ?? 1
    const counts = {
      observedGeneration: generation,
      replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
      updatedReplicas: replicas,
    }
    const played = play(object.metadata.name, counts).finally(() => playing.delete(played))
    playing.add(played)
  })
  const running = new Reflector({ client, type: deployments, store, namespace, log: silent }).run(stop.signal)
  await store.whenSynced()
  return {
    seen: (name, replicas) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`${name} did not get ${replicas} replicas within 5 minutes`)),
          300_000,
        )
        waiting.set(name, {
          replicas,
          resolve: (at) => {
            clearTimeout(late)
            resolve(at)
          },
        })
      }),
    close: async () => {
      stop.abort()
      await running
      await Promise.all(playing)
      if (failures.length > 0) throw new AggregateError(failures, 'the API server refused a played status')
    },
  }
}

/** How many replicas each model was last given. */
const given = new Map<string, number>()

/** A user asks for another size. @returns milliseconds from the request until the child had it */
export const change = async ({ client, namespace }: World, children: Children, name: string): Promise<number> => {
  const replicas = ((given.get(name) ?? 1) % 3) + 1
  given.set(name, replicas)
  const seen = children.seen(name, replicas)
  const sentAt = performance.now()
  const [seenAt] = await Promise.all([
    seen,
    client.mergePatch(modelDeployments, namespace, name, { spec: { replicas } }),
  ])
  return seenAt - sentAt
}
