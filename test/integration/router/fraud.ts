// The stage of most tests of a router: one model, fraud, with a stable revision and a canary, and a client of it.
// Opened where a test file begins; taken down when its tests have ended.
import { afterAll } from '@jest/globals'
import type { ModelTraffic } from '../../../operator/api/routerstate.ts'
import { openClient, type Client } from './load.ts'
import type { Traffic } from './objects.ts'
import { openRouter, type RouterOptions, type RouterStage } from './stage.ts'
import type { Pod } from './upstream.ts'

export interface Fraud {
  readonly router: RouterStage
  readonly client: Client
  readonly stable: Pod
  readonly canary: Pod
  /** The epoch that was asked for last. */
  readonly epoch: () => number
  /** Another setting under the next epoch; `more` replaces what it names. @param canaryWeight in thousandths */
  readonly traffic: (canaryWeight: number, more?: Partial<Traffic>) => Omit<Traffic, 'port'>
  /** The same, resolving when it is applied. */
  readonly share: (canaryWeight: number, more?: Partial<Traffic>) => Promise<ModelTraffic>
}

export const openFraud = async (options: RouterOptions = {}): Promise<Fraud> => {
  const router = await openRouter(options)
  const client = openClient(router.port)
  afterAll(async () => {
    await client.close()
    await router.close()
  })
  const [stable, canary] = [await router.startPod('fraud-a'), await router.startPod('fraud-b')]
  router.pods([stable, canary])
  let epoch = 0
  const traffic: Fraud['traffic'] = (canaryWeight, more = {}) => ({
    epoch: (epoch += 1),
    weights: { 'fraud-a': 1000 - canaryWeight, 'fraud-b': canaryWeight },
    stable: 'fraud-a',
    candidate: 'fraud-b',
    ...more,
  })
  return {
    router,
    client,
    stable,
    canary,
    epoch: () => epoch,
    traffic,
    share: (canaryWeight, more) => router.apply(traffic(canaryWeight, more)),
  }
}
