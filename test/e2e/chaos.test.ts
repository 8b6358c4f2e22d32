// Ten rollouts on two nodes under constant load, up, down, aborted, superseded, promoted and rolled back, while at random
// moments the operator is killed, a router deleted, a node drained. `npm run bench:rollout` is the long form of it.
// It brings up two nodes of its own, unless KUBECONFIG names a cluster.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { chaos } from '../../bench/rollout/measure.ts'
import { openScene, type Scene } from '../../bench/rollout/scene.ts'
import { begin } from '../../bench/rollout/stories.ts'
import { down } from '../cluster/lifecycle.ts'

const runs = 10
const cluster = 'chaos'
const isOwn = (process.env['KUBECONFIG'] ?? '') === ''
const say = (line: string): void => {
  process.stderr.write(`   ${line}\n`)
}

let scene: Scene
beforeAll(async () => {
  scene = await openScene(isOwn ? cluster : undefined, say)
})
afterAll(async () => {
  try {
    await scene.close()
  } finally {
    if (isOwn) await down(cluster, say)
  }
})

test(`in ${runs} rollouts while things go wrong no request fails or meets a wrong version, and each ends where it must`, async () => {
  const seed = Number(process.env['SLIPWAY_SEED'] ?? 1)
  say(`seed ${seed}; SLIPWAY_SEED=${seed} plays the same again`)
  await begin(scene)
  const { runs: played, loads, wrong } = await chaos(scene, { seed, runs, drains: scene.nodes.length > 1 ? 1 : 0 }, say)
  expect(played.filter(({ unsettled }) => unsettled !== undefined)).toEqual([])
  expect(loads.flatMap(({ failures }) => failures)).toEqual([])
  expect(loads.map(({ failed }) => failed)).toEqual(loads.map(() => 0))
  expect(wrong).toEqual([])
  expect(Math.min(...loads.map(({ sent }) => sent))).toBeGreaterThan(runs)
}, 1_800_000)
