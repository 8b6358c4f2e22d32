// Shares: what was asked against what clients counted, in each protocol; and by pod counts, as a Service does it.
import { countInterval } from '../../test/kit/binomial.ts'
import type { Protocol } from './client/protocols.ts'
import type { LoadOptions } from './client.ts'
import { model, smallGrpc, type World } from './world.ts'

/** One count of one share in one protocol. */
export interface Cell {
  readonly protocol: Protocol
  /** Thousandths. */
  readonly weight: number
  readonly requests: number
  readonly hits: number
  readonly failed: number
  readonly low: number
  readonly high: number
  readonly inside: boolean
}

const protocols: readonly Protocol[] = ['http1', 'h2c', 'grpc']
const weights = [1, 10, 50, 200, 500]
/** An honest router misses one cell of a hundred. */
const alpha = 0.01

/** @returns every count; a cell that missed was counted once more */
export const countShares = async (world: World, requests: number, report: (line: string) => void): Promise<Cell[]> => {
  const cells: Cell[] = []
  for (const weight of weights) {
    await world.apply({ candidate: weight })
    for (const protocol of protocols) {
      for (let tries = 0; tries < 2; tries += 1) {
        const cell = await count(world, protocol, weight, requests)
        cells.push(cell)
        report(
          `${weight / 10} % ${protocol}: ${cell.hits} of ${requests}, chance gives ${cell.low} to ${cell.high}` +
            (cell.inside ? '' : tries === 0 ? ', outside: counted once more' : ', outside again'),
        )
        if (cell.inside) break
      }
    }
  }
  return cells
}

/** Cells of which one count lies inside, the first or the one made again. */
export const cellsInside = (cells: readonly Cell[]): number =>
  new Set(cells.filter(({ inside }) => inside).map(({ protocol, weight }) => `${protocol} ${weight}`)).size

const count = async (world: World, protocol: Protocol, weight: number, requests: number): Promise<Cell> => {
  const options: Partial<LoadOptions> = protocol === 'grpc' ? smallGrpc() : { protocol }
  const load = await world.load({ ...options, count: requests, workers: 32 })
  const { byRevision, failed } = await load.done
  const hits = byRevision[world.candidate] ?? 0
  const [low, high] = countInterval(requests, weight / 1000, alpha)
  return { protocol, weight, requests, hits, failed, low, high, inside: failed === 0 && hits >= low && hits <= high }
}

export interface PeerShare {
  /** Percent. */
  readonly asked: number
  readonly pods: readonly [stable: number, candidate: number]
  readonly measured: number
}

/** The most pods that somebody would run for a share. */
const mostPods = 10

/**
 * What a Service over both revisions gives, with as many pods of each as come closest to the share. Only splits that
 * this machine has room for are measured; the others are by how the nearest number of pods differs.
 */
export const peerShares = async (world: World, requests: number): Promise<PeerShare[]> => {
  const { shell, namespace, stable, candidate } = world
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'by-pods', namespace },
    spec: { selector: { 'slipway.dev/model-deployment': model }, ports: [{ port: 80, targetPort: 8080 }] },
  }
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify(service))
  const shares: PeerShare[] = []
  for (const weight of weights) {
    const pods = nearest(weight / 1000)
    const asked = weight / 10
    if (pods[0] + pods[1] > 5) {
      shares.push({ asked, pods, measured: (100 * pods[1]) / (pods[0] + pods[1]) })
      continue
    }
    await scale(world, pods)
    const { byRevision, ok } = await (await world.load({ host: 'by-pods', count: requests, workers: 32 })).done
    shares.push({ asked, pods, measured: (100 * (byRevision[candidate] ?? 0)) / ok })
  }
  await scale(world, [world.replicas, world.replicas])
  await shell.kubectl(['delete', 'service', 'by-pods', '-n', namespace])
  return shares

  async function scale(of: World, [ofStable, ofCandidate]: readonly [number, number]): Promise<void> {
    for (const [name, replicas] of [
      [stable, ofStable],
      [candidate, ofCandidate],
    ] as const)
      await shell.kubectl(['scale', '-n', namespace, `deployment/${name}`, `--replicas=${replicas}`])
    await of.whole()
    await of.until('the Service has as many pods', async () => {
      const slices = await shell.json<Slices>([
        'get',
        'endpointslices',
        '-n',
        namespace,
        '-l',
        'kubernetes.io/service-name=by-pods',
      ])
      return slices.items.flatMap(({ endpoints }) => endpoints ?? []).length === ofStable + ofCandidate
    })
  }
}

interface Slices {
  readonly items: readonly { readonly endpoints?: readonly object[] }[]
}

const nearest = (share: number): readonly [stable: number, candidate: number] => {
  const splits = Array.from({ length: mostPods - 1 }, (_, i) => i + 2).flatMap((pods) =>
    Array.from({ length: pods - 1 }, (_, i) => [pods - i - 1, i + 1] as const),
  )
  const errorOf = ([s, c]: readonly [number, number]): number => Math.abs(c / (s + c) - share)
  return splits.reduce((best, split) => (errorOf(split) < errorOf(best) - 1e-9 ? split : best))
}
