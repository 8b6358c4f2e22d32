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
const made = ['jobs.batch', 'modelrevisions.slipway.dev', 'deployments.apps', 'services', 'poddisruptionbudgets.policy']
const status = 'modeldeployments.slipway.dev/status'
/** More status writes than a rollout ever makes; the loop ends with the first that has survived. */
const most = 30

/** How long a rollout that has ended is watched for a last write, in milliseconds. */
const afterwardsMs = 5000

/** When the operator dies: after this write of this kind. */
interface Death {
  readonly after: string
  readonly nth: number
}

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
  const { status: reached = {} } = await stage.ready(name)
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
  return { ...JSON.parse(JSON.stringify({ status: reached, fetches }, timesAndNames(name))), children: plain }
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

  const counts = new Map<string, number>()
  for (const { resource } of proxy.writes()) counts.set(resource, (counts.get(resource) ?? 0) + 1)
  expect(new Set(counts.keys())).toEqual(new Set([...made, status]))
  // How often pods are counted on the way varies with how they come, and so the number of status writes: one more is
  // tried until there is none.
  const deaths: Death[] = [...made, status].flatMap((after) =>
    Array.from({ length: after === status ? most : (counts.get(after) ?? 0) }, (_, index) => ({
      after,
      nth: index + 1,
    })),
  )
  const killedAt: string[] = []
  for (const [index, { after, nth }] of deaths.entries()) {
    const name = `killed-${index}-`.padEnd(12, 'x')
    const victim = operator
    let killing: Promise<void> | undefined
    await stage.apply(name, first)
    await stage.ready(name)
    // The server carries the fatal write out before the operator dies of it: from its arrival on, death is awaited.
    let writes = 0
    const end = proxy.play({
      fault: { fault: 'loseAnswer' },
      when: (asked) => {
        const is = isCounted(asked) && asked.resource === after && asked.url.includes(name)
        if (is) writes += 1
        return is
      },
      skip: nth - 1,
      times: 1,
      onPlayed: () => {
        killedAt.push(after)
        // Whatever else is under way reaches nobody: the process is as good as dead.
        proxy.play({ fault: { fault: 'halfOpen' } })
        killing = victim.kill()
      },
    })
    await stage.apply(name, second)
    let done: number | undefined
    await stage.until(name, 'is rolled out or its operator dead', (object) => {
      if (killing !== undefined) return true
      if (writes >= nth || object.status?.stable?.revision !== revisionOf(name, second)) return false
      // The status is written first: what follows from it, such as the budget of the pods that serve now, is still to come.
      done ??= performance.now()
      return performance.now() - done > afterwardsMs
    })
    end()
    await killing
    proxy.heal()
    if (killing !== undefined) operator = await scene.start()
    expect({ after, nth, ...(await endOf(name)) }).toEqual({ after, nth, ...expected })
    if (killing === undefined && after === status) break
  }
  process.stderr.write(`  killed at ${killedAt.length} writes: ${killedAt.join(', ')}\n`)
  expect(new Set(killedAt)).toEqual(new Set([...made, status]))
  expect(killedAt.filter((after) => after === status).length).toBeGreaterThanOrEqual(4)
})
