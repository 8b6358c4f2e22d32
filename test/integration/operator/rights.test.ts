import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { render, type Rule } from '../../chart/helm.ts'
import { eventually } from './eventually.ts'
import type { OperatorProcess } from './process.ts'
import { grant, renderRights, roles } from './rights.ts'
import { openStage, revisionOf, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await openStage()
  operator = await stage.start()
})

afterAll(async () => stage.close())

const spec = (model: string) => ({ model: { uri: uriOf(model) } })

/** The chart's rights without one verb on one resource. */
const grantWithout = async (verb: string, resource: string): Promise<void> => {
  const rights = (await renderRights(stage.namespace)).map((object) => {
    if (object.rules === undefined) return object
    const rules = object.rules.flatMap((rule) => {
      const verbs = rule.resources.includes(resource) ? rule.verbs.filter((v) => v !== verb) : rule.verbs
      return verbs.length === 0 ? [] : [{ ...rule, verbs }]
    })
    return { ...object, rules }
  })
  await grant(stage.client, rights)
}

const complaint = (words: string) =>
  eventually(
    `the operator complains: ${words}`,
    () => operator.log.find((line) => line['error.message']?.includes(words)),
    () => operator.log.map((line) => `${line.message} ${line['error.message'] ?? ''}`),
  )

describe('an operator that lacks a verb', () => {
  test('says which one, on what and where, and goes on as soon as it is granted', async () => {
    await stage.apply('denied', spec('1'))
    await stage.ready('denied')
    await grantWithout('patch', 'services')
    await stage.apply('denied', spec('2'))
    const line = await complaint(`grant the verb "patch" on services in namespace ${stage.namespace}`)
    expect(line['log.level']).toBe('error')
    expect(line['error.message']).toContain(`patch services ${stage.namespace}/denied: 403 Forbidden`)
    // Users are still on the old version, and no state is skipped.
    const { status } = await stage.get('denied')
    expect(status).toMatchObject({
      candidate: { state: 'Promoting' },
      stable: { revision: revisionOf('denied', spec('1')) },
    })
    expect((await stage.children('denied')).serving).toBe(revisionOf('denied', spec('1')))

    await grant(stage.client, await renderRights(stage.namespace))
    expect((await stage.ready('denied')).status?.stable?.revision).toBe(revisionOf('denied', spec('2')))
  })

  test('that it reads with says so too, and goes on as soon as it is granted', async () => {
    await grantWithout('list', 'pods')
    await stage.apply('blind', spec('1'))
    await complaint(`grant the verb "list" on pods in namespace ${stage.namespace}`)
    await grant(stage.client, await renderRights(stage.namespace))
    expect((await stage.ready('blind')).status?.stable?.revision).toBe(revisionOf('blind', spec('1')))
  })
})

describe("the chart's rights", () => {
  test('are the same for one namespace, where these tests use them, and for all, but for looking at nodes', async () => {
    const rulesOf = (
      objects: readonly {
        readonly kind: string
        readonly metadata: { readonly name: string }
        readonly rules?: readonly Rule[]
      }[],
    ) => objects.find((o) => o.kind.endsWith('Role') && o.metadata.name === 'slipway-operator')?.rules
    const everywhere = rulesOf(await render())
    expect(everywhere?.length).toBeGreaterThan(5)
    // Nodes are of no namespace: who may look at one only repeats the scheduler's words.
    const inNamespaces = everywhere?.filter(({ resources }) => !resources?.includes('nodes'))
    expect(inNamespaces?.length).toBe((everywhere?.length ?? 0) - 1)
    expect(rulesOf(await renderRights(stage.namespace))).toEqual(inNamespaces)
    expect((await stage.client.get(roles, stage.namespace, 'slipway-operator')).metadata.name).toBe('slipway-operator')
  })
})
