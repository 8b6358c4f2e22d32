// Copies of stable's requests: who is copied, and what users notice when the one that gets the copies is broken.
import { oddness } from '../../test/kit/binomial.ts'
import type { Summary } from './client.ts'
import type { World } from './world.ts'

/** A revision of its own, which is nothing but the shadow; its pods are known by the label that ours have. */
const revision = 'bench-shadow'
const perMille = 100

export interface Copies {
  /** Requests that stable answered, how many of them were copied, and how many that it did not answer. */
  readonly stable: number
  readonly copied: number
  readonly ofOthers: number
  readonly lost: number
  readonly p: number
}

export interface BrokenShadow {
  readonly kind: 'no pod' | 'refuses' | 'slow'
  /** Users' p99 with it over that without a mirror, one a pair of runs. */
  readonly ratios: readonly number[]
  readonly failed: number
}

export const startShadow = async ({ shell, namespace, images }: World): Promise<void> => {
  const labels = { app: revision, 'app.kubernetes.io/managed-by': 'slipway', 'slipway.dev/revision': revision }
  const container = { name: 'shadow', image: images.modelstore, command: ['node', '/app/load.mjs', 'shadow'] }
  const readinessProbe = { httpGet: { path: '/v2/health/ready', port: 8080 }, periodSeconds: 1 }
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: revision, namespace, labels: { app: revision } },
    spec: { automountServiceAccountToken: false, containers: [{ ...container, readinessProbe }] },
  }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: revision, namespace, labels },
    spec: {
      clusterIP: 'None',
      selector: { app: revision },
      ports: [
        { name: 'http', port: 8080 },
        { name: 'grpc', port: 9000 },
      ],
    },
  }
  for (const object of [pod, service]) await shell.kubectl(['apply', '-f', '-'], JSON.stringify(object))
  await shell.kubectl(['wait', '-n', namespace, `pod/${revision}`, '--for=condition=Ready', '--timeout=60s'])
}

export const copiesOf = async (world: World, requests: number): Promise<Copies> => {
  await reset(world, 0)
  await world.apply({ candidate: 100, mirror: { revision, perMille } })
  await shadowIsThere(world, 1)
  await reset(world, 0)
  const load = await world.load({ count: requests, idPrefix: 'r', workers: 8 })
  const { answered = {}, ok } = await load.done
  await new Promise((resolve) => setTimeout(resolve, 2000))
  const seen = new Set(JSON.parse(await ask(world, '/seen')) as string[])
  const copiedOf = (numbers: readonly number[]): number => numbers.filter((number) => seen.has(`r${number}`)).length
  const byStable = answered[world.stable] ?? []
  const [copied, ofOthers] = [copiedOf(byStable), copiedOf(answered[world.candidate] ?? [])]
  const p = ofOthers > 0 ? 0 : oddness(copied, byStable.length, perMille / 1000)
  return { stable: byStable.length, copied, ofOthers, lost: requests - ok, p }
}

/** Pairs of runs, without a mirror and with one that is broken, in turns. */
export const brokenShadows = async (world: World, pairs: number, requests: number): Promise<BrokenShadow[]> => {
  const run = async (): Promise<Summary> => (await world.load({ count: requests, workers: 4, rate: 400 })).done
  const found: BrokenShadow[] = []
  for (const kind of ['slow', 'refuses', 'no pod'] as const) {
    await arrange(world, kind)
    const ratios: number[] = []
    let failed = 0
    for (let pair = 0; pair < pairs; pair += 1) {
      await world.apply({ candidate: 100 })
      const without = await run()
      await world.apply({ candidate: 100, mirror: { revision, perMille } })
      const broken = await run()
      failed += without.failed + broken.failed
      ratios.push(broken.p99Ms / without.p99Ms)
    }
    found.push({ kind, ratios, failed })
  }
  await world.apply({ candidate: 0 })
  return found
}

const arrange = async (world: World, kind: BrokenShadow['kind']): Promise<void> => {
  const { shell, namespace } = world
  if (kind === 'slow') {
    await world.apply({ candidate: 100, mirror: { revision, perMille } })
    return reset(world, 10_000)
  }
  // Nobody listens on that port of the pod.
  const closed = {
    spec: {
      ports: [
        { name: 'http', port: 8080, targetPort: 1 },
        { name: 'grpc', port: 9000, targetPort: 1 },
      ],
    },
  }
  if (kind === 'refuses') {
    await shell.kubectl(['patch', 'service', revision, '-n', namespace, '--type=merge', '-p', JSON.stringify(closed)])
    return
  }
  await shell.kubectl(['delete', 'pod', revision, '-n', namespace, '--grace-period=0', '--force'])
  await shadowIsThere(world, 0)
}

const shadowIsThere = (world: World, pods: number): Promise<void> =>
  world.until(`every router sees ${pods} pods of the shadow`, async () => {
    const routers = await world.routers()
    const states = await Promise.all(routers.map(({ name }) => world.stateOf(name)))
    return states.every(({ models }) => models.every(({ shadow }) => (shadow?.readyEndpoints ?? pods) === pods))
  })

const reset = async (world: World, delayMs: number): Promise<void> =>
  void (await ask(world, `/reset?delayMs=${delayMs}`))

const ask = ({ client, namespace }: World, path: string): Promise<string> => {
  const [pathname = '', search = ''] = path.split('?')
  return client.transport
    .call({
      method: 'GET',
      path: `/api/v1/namespaces/${namespace}/pods/${revision}:8080/proxy${pathname}`,
      query: Object.fromEntries(new URLSearchParams(search)),
      asked: { verb: 'get', resource: 'shadow', name: revision },
    })
    .then(({ text }) => text)
}
