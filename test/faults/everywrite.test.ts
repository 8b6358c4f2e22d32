// Crash-only, without exception: the operator is killed right after each single write in the life of an object in turn,
// before the answer comes, and the next one ends where an undisturbed one would have. A life is a first version, a second
// one, the end of the first one's pods, and its own end; in mode Router the routers come and go with it.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { eventually } from '../integration/operator/eventually.ts'
import type { OperatorProcess } from '../integration/operator/process.ts'
import { startRouters, type PlayedRouters } from '../integration/operator/routers.ts'
import { uriOf, type WrittenSpec } from '../integration/operator/stage.ts'
import { seeded, shuffled } from '../proxy/random.ts'
import { dieAfter, isOfStatus, writesOf, type Write } from './deaths.ts'
import { firstSeed, routedDeaths } from './length.ts'
import { live, plainly, type Life, type Versions } from './life.ts'
import { openScene, type Scene } from './scene.ts'

// Some seventy lives of a few seconds each when long.
jest.setTimeout(3_600_000)

let scene: Scene
let routers: PlayedRouters
let operator: OperatorProcess

/** Of the chart's settings, the one that makes the routers have all that they can have. */
const network = {
  usersFrom: [],
  metricsFrom: [],
  direct: true,
  apiServerPorts: [6443],
  operatorNamespace: 'slipway-system',
  operatorLabels: { 'app.kubernetes.io/name': 'slipway' },
}
const start = (): Promise<OperatorProcess> =>
  scene.start({ environment: { SLIPWAY_NETWORK_POLICY: JSON.stringify(network) } })

beforeAll(async () => {
  scene = await openScene()
  routers = await startRouters(scene.stage)
  operator = await start()
})

afterAll(async () => {
  await routers.close()
  await scene.close()
})

const both = (rest: Omit<WrittenSpec, 'model'>): Versions => {
  const of = (model: string): WrittenSpec => ({
    model: { uri: uriOf(model), version: model },
    replicas: 2,
    ...rest,
  })
  return { first: of('first'), second: of('second') }
}

const steps = [
  { weight: 20, minDuration: '0s' },
  { weight: 50, minDuration: '0s' },
]
const direct = both({ traffic: { mode: 'Direct' }, rollout: { strategy: 'BlueGreen', keepPreviousFor: '100ms' } })
const canary = both({ traffic: { mode: 'Router' }, rollout: { strategy: 'Canary', steps, keepPreviousFor: '100ms' } })

/** More status writes than a life ever has; the loop ends with the first that nobody dies of. */
const most = 60

/** Of the writes that an undisturbed life has had, those to die of: all, or so many of them, drawn by the seed. */
const drawn = (writes: readonly Write[], number: number): readonly Write[] => {
  if (number < writes.length) return shuffled(seeded(firstSeed), writes).slice(0, number)
  // A life has more status writes or fewer, as its pods and routers are seen to come.
  const last = writes.findLast(isOfStatus)
  const more = Array.from({ length: most }, (_, index) => ({
    what: last?.what ?? '',
    nth: (last?.nth ?? 0) + index + 1,
  }))
  return [...writes, ...more]
}

test.each([
  [
    'direct',
    direct,
    Infinity,
    'delete deployments.apps (first)',
    'Pending Provisioning Promoting Idle Pending Provisioning Promoting Observing Idle',
    { 'resolve (first)': 1, 'resolve (second)': 1, 'serve (first)': 2, 'serve (second)': 2 },
  ],
  [
    'routed',
    canary,
    routedDeaths,
    'delete deployments.apps slipway-router',
    'Pending Provisioning Promoting.Shift Idle Pending Provisioning Canary.Shift Canary.Analyse Canary.Shift Canary.Analyse Promoting.Scale Promoting.Shift Promoting.Analyse Observing Idle',
    { 'resolve (first)': 1, 'resolve (second)': 1, 'serve (first)': 2, 'serve (second)': 2, route: 2 },
  ],
])(
  '%s: an operator that is killed at any single write of a life leaves nothing undone and nothing done twice',
  async (kind, versions, number, last, passed, pods) => {
    const { stage, proxy } = scene
    proxy.forget()
    const expected = await live(stage, kind, versions)
    expect(expected.status.history?.map(({ to }) => to).join(' ')).toBe(passed)
    expect(expected.pods).toEqual(pods)
    const seen = (): Write[] => writesOf(proxy, plainly(kind, versions))
    await eventually('the last write is answered', () => seen().some(({ what }) => what === last))
    const writes = seen()
    process.stderr.write(
      `  ${kind}: ${writes.length} writes${number < writes.length ? `, ${number} of them by SLIPWAY_FAULT_SEED=${firstSeed}` : ''}\n`,
    )

    let killed = 0
    const survived: Write[] = []
    for (const [index, write] of drawn(writes, number).entries()) {
      const name = `${kind}-${index}`
      const death = dieAfter(write, plainly(name, versions), operator, proxy, start)
      let life: Life | undefined
      try {
        life = await live(stage, name, versions, expected)
      } finally {
        death.callOff()
        operator = await death.survivor()
      }
      expect({ write, life }).toEqual({ write, life: expected })
      process.stderr.write(
        `  ${death.happened() ? 'killed at' : 'was not reached:'} ${write.what}, number ${write.nth}\n`,
      )
      if (death.happened()) {
        killed += 1
        continue
      }
      // Only how often pods and routers are seen to come varies: every other write is done in each life.
      expect(isOfStatus(write)).toBe(true)
      survived.push(write)
      if (write.nth > writes.filter(isOfStatus).length) break
    }
    process.stderr.write(`  ${kind}: killed at ${killed} of ${writes.length} writes\n`)
    expect(survived.length).toBeLessThan(Math.min(number, writes.length) / 2)
  },
)
