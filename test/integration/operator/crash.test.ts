import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type { ModelDeploymentStatus } from '../../../operator/api/modeldeployment.ts'
import { jobs } from '../../../operator/kube/resources.ts'
import { openDoor, type Door } from './door.ts'
import { openStage, revisionOf, uriOf, type Children, type Stage } from './stage.ts'

jest.setTimeout(180_000)

let stage: Stage
let door: Door

beforeAll(async () => {
  stage = await openStage()
  door = await openDoor()
})

afterAll(async () => {
  await stage.close()
  await door.close()
})

const first = { model: { uri: uriOf('first') }, replicas: 2 }
const second = { model: { uri: uriOf('second') }, replicas: 2 }

const statusWrite = 'modeldeployments/status'

/** When the operator dies: after it has written this so many times. */
interface Death {
  readonly after: string
  readonly times: number
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
  const { status = {} } = await stage.ready(name)
  const { items } = await stage.client.list(jobs, {
    namespace: stage.namespace,
    labelSelector: `slipway.dev/model-deployment=${name}`,
  })
  const names = items.map((job) => job.metadata.name).toSorted()
  const children = await stage.children(name)
  // Each object has revisions of its own; what is left to compare is which of the two serves, and how many there are.
  const words = (revision: string): string => (revision === revisionOf(name, first) ? 'first' : 'second')
  const plain: Children = {
    serving: words(children.serving ?? ''),
    deployments: Object.fromEntries(Object.entries(children.deployments).map(([key, n]) => [words(key), n])),
    revisions: children.revisions.map(words).toSorted(),
  }
  return { ...JSON.parse(JSON.stringify({ status, fetches: names }, timesAndNames(name))), children: plain }
}

describe('an operator that is killed', () => {
  test('right after any one of its writes, before the answer comes, ends as if nothing had happened', async () => {
    let operator = await stage.start({ server: door.server })
    const names = Array.from({ length: 16 }, (_, i) => `crash-${i}`)
    for (const name of names) await stage.apply(name, first)
    for (const name of names) await stage.ready(name)

    const [undisturbed = '', ...others] = names
    door.count()
    await stage.apply(undisturbed, second)
    const expected = await endOf(undisturbed)
    expect(expected.children).toEqual({
      serving: 'second',
      deployments: { first: 2, second: 2 },
      revisions: ['first', 'second'],
    })
    expect(expected.status.history?.map((h) => h.to).join(' ')).toBe(
      'Pending Provisioning Promoting Idle Pending Provisioning Promoting Observing',
    )
    const made = ['jobs', 'modelrevisions', 'deployments', 'services']
    expect(new Set(door.writes)).toEqual(new Set([...made, statusWrite]))
    // How often pods are counted in between varies with how they come, so the number of status writes varies a little.
    const statusWrites = door.writes.filter((write) => write === statusWrite).length
    const deaths = [
      ...made.map((resource): Death => ({ after: resource, times: 1 })),
      ...Array.from({ length: statusWrites }, (_, i): Death => ({ after: statusWrite, times: i + 1 })),
    ]
    expect(deaths.length).toBeLessThanOrEqual(others.length)

    const died: Death[] = []
    for (const [index, death] of deaths.entries()) {
      const name = others[index] ?? ''
      let killed: Promise<void> | undefined
      const victim = operator
      const isTime = (writes: readonly string[]): boolean =>
        writes.filter((write) => write === death.after).length === death.times
      door.count(isTime, () => {
        killed = victim.kill()
      })
      await stage.apply(name, second)
      await stage.until(name, 'is rolled out or its operator dead', (o) => {
        return killed !== undefined || o.status?.stable?.revision === revisionOf(name, second)
      })
      if (killed !== undefined) {
        await killed
        died.push(death)
        door.count()
        operator = await stage.start({ server: door.server })
      }
      expect({ death, ...(await endOf(name)) }).toEqual({ death, ...expected })
    }
    expect(died.map(({ after }) => after)).toEqual(expect.arrayContaining(made))
    expect(died.filter(({ after }) => after === statusWrite).length).toBeGreaterThanOrEqual(4)
  })
})
