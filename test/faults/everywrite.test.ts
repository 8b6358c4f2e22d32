// Crash-only, without exception: the operator is killed right after each single write of a rollout in turn, before the
// answer comes, and the next one ends where an undisturbed one would have.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import type { ModelDeploymentStatus } from '../../operator/api/modeldeployment.ts'
import { jobs } from '../../operator/kube/resources.ts'
import type { OperatorProcess } from '../integration/operator/process.ts'
import { revisionOf, type Children } from '../integration/operator/stage.ts'
import { isCounted } from '../proxy/proxy.ts'
import { openScene, specOf, type Scene } from './scene.ts'

jest.setTimeout(600_000)

let scene: Scene
let operator: OperatorProcess

beforeAll(async () => {
  scene = await openScene()
  operator = await scene.start()
})

afterAll(() => scene.close())

const [first, second] = [specOf('first', 2), specOf('second', 2)]
/** More than a rollout ever writes; the loop ends when one has survived. */
const most = 40

interface End {
  readonly status: ModelDeploymentStatus
  readonly children: Children
  readonly fetches: readonly string[]
}

/** Names and times differ from object to object; nothing else may. */
const timesAndNames = (name: string) => (key: string, value: unknown) => {
  if (/^(at|lastTransitionTime|.+At)$/.test(key)) return '(time)'
  return typeof value === 'string' ? value.replaceAll(name, '(name)').replaceAll(/[0-9a-f]{10}\b/g, '(hash)') : value
}

const endOf = async (name: string): Promise<End> => {
  const { stage } = scene
  const { status = {} } = await stage.ready(name)
  const { items } = await stage.client.list(jobs, {
    namespace: stage.namespace,
    labelSelector: `slipway.dev/model-deployment=${name}`,
  })
  const fetches = items.map((job) => job.metadata.name).toSorted()
  const children = await stage.children(name)
  // Each object has revisions of its own; what is left to compare is which of the two serves, and how many there are.
  const words = (revision: string): string => (revision === revisionOf(name, first) ? 'first' : 'second')
  const plain: Children = {
    serving: words(children.serving ?? ''),
    deployments: Object.fromEntries(Object.entries(children.deployments).map(([key, n]) => [words(key), n])),
    revisions: children.revisions.map(words).toSorted(),
  }
  return { ...JSON.parse(JSON.stringify({ status, fetches }, timesAndNames(name))), children: plain }
}

test('an operator that is killed at any single write of a rollout leaves nothing undone and nothing done twice', async () => {
  const { stage, proxy } = scene
  const roll = async (name: string): Promise<void> => {
    await stage.apply(name, first)
    await stage.ready(name)
    proxy.forget()
    await stage.apply(name, second)
  }
  await roll('undisturbed')
  const expected = await endOf('undisturbed')
  expect(expected.children).toEqual({
    serving: 'second',
    deployments: { first: 2, second: 2 },
    revisions: ['first', 'second'],
  })
  expect(expected.status.history?.map(({ to }) => to).join(' ')).toBe(
    'Pending Provisioning Promoting Idle Pending Provisioning Promoting Observing',
  )

  const killedAt: string[] = []
  for (let nth = 1; nth <= most; nth += 1) {
    const name = `killed-${nth}`
    const victim = operator
    let killing: Promise<void> | undefined
    let endRules: (() => void)[] = []
    await stage.apply(name, first)
    await stage.ready(name)
    endRules = [
      proxy.play({
        fault: { fault: 'loseAnswer' },
        when: (asked) => isCounted(asked) && asked.url.includes(name),
        skip: nth - 1,
        times: 1,
        onPlayed: ({ verb, resource }) => {
          killedAt.push(`${verb} ${resource}`)
          // Whatever else is under way reaches nobody: the process is as good as dead.
          proxy.play({ fault: { fault: 'halfOpen' } })
          killing = victim.kill()
        },
      }),
    ]
    await stage.apply(name, second)
    await stage.until(name, 'is rolled out or its operator dead', ({ status }) => {
      return killing !== undefined || status?.stable?.revision === revisionOf(name, second)
    })
    for (const end of endRules) end()
    if (killing === undefined) {
      // There is no n-th write: every one has had its turn.
      expect(await endOf(name)).toEqual(expected)
      break
    }
    await killing
    proxy.heal()
    operator = await scene.start()
    expect({ killedAt: killedAt.at(-1), nth, ...(await endOf(name)) }).toEqual({
      killedAt: killedAt.at(-1),
      nth,
      ...expected,
    })
  }
  process.stderr.write(`  killed at ${killedAt.length} writes: ${killedAt.join(', ')}\n`)
  for (const resource of ['jobs.batch', 'modelrevisions.slipway.dev', 'deployments.apps', 'services']) {
    expect(killedAt.some((write) => write.endsWith(` ${resource}`))).toBe(true)
  }
  expect(
    killedAt.filter((write) => write.endsWith('modeldeployments.slipway.dev/status')).length,
  ).toBeGreaterThanOrEqual(4)
  expect(killedAt.length).toBeLessThan(most)
})
