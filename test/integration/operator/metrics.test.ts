// What docs/operations.md tells of the metrics is what a real operator exports, no more and no less; and the gauges and
// counters that its alerts stand on move with what they are about.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { startProxy, type Proxy } from '../../proxy/proxy.ts'
import { credentials } from '../kube/server.ts'
import { eventually } from './eventually.ts'
import { leading, type OperatorProcess } from './process.ts'
import { openStage, revisionOf, uriOf, type Stage } from './stage.ts'
import { metricsOfAlerts, metricsOfScrape, metricsOfText } from './metricnames.ts'

jest.setTimeout(300_000)

let stage: Stage
let proxy: Proxy
let operator: OperatorProcess

beforeAll(async () => {
  stage = await openStage()
  const known = await credentials()
  proxy = await startProxy({ server: known.server, tls: { ca: (await known.current()).tls.ca ?? '' } })
  operator = await stage.start({ server: proxy.server })
  await leading(operator)
  for (const name of ['a', 'b', 'c']) await stage.apply(name, { model: { uri: uriOf('1') } })
  for (const name of ['a', 'b', 'c']) await stage.ready(name)
})

afterAll(async () => {
  proxy.heal()
  await stage.close()
  await proxy.close()
})

const docs = (): Promise<string> =>
  readFile(join(import.meta.dirname, '..', '..', '..', 'docs', 'operations.md'), 'utf8')

describe('docs/operations.md', () => {
  /** Of Node's own, the page tells those that help an operator of the operator; prom-client brings some twenty more. */
  const isOfNode = (name: string): boolean => /^(nodejs|process)_/.test(name)

  test('tells every metric that the operator exports, and exports every metric that it tells or that an alert asks for', async () => {
    const page = await docs()
    const exported = metricsOfScrape(await operator.scrape())
    const names = exported.map(({ name }) => name)
    // Words of the page that have an underscore and are no metric: values of labels, `requeue_after`.
    const families = new Set(names.map((name) => name.split('_')[0]))
    const told = metricsOfText(page).filter(({ name }) => families.has(name.split('_')[0]))
    const alerts = metricsOfAlerts(page)
    expect([names.length, told.length, alerts.length].every((count) => count >= 8)).toBe(true)
    const untold = names.filter((name) => !isOfNode(name) && !told.some((metric) => metric.name === name))
    const unknown = [...told.map(({ name }) => name), ...alerts].filter((name) => !names.includes(name))
    // A metric that has no sample yet does not show its labels.
    const strange = told.flatMap(({ name, labels }) => {
      const known = exported.find((metric) => metric.name === name)?.labels ?? []
      return known.length === 0
        ? []
        : labels.filter((label) => !known.includes(label)).map((label) => `${name}{${label}}`)
    })
    expect({ untold, unknown, strange }).toEqual({ untold: [], unknown: [], strange: [] })
  })
})

/** @see https://book.kubebuilder.io/reference/metrics-reference */
const ofControllerRuntime = {
  controller_runtime_reconcile_total: ['counter', 'controller', 'result'],
  controller_runtime_reconcile_errors_total: ['counter', 'controller'],
  controller_runtime_terminal_reconcile_errors_total: ['counter', 'controller'],
  controller_runtime_reconcile_panics_total: ['counter', 'controller'],
  controller_runtime_reconcile_time_seconds: ['histogram', 'controller'],
  controller_runtime_max_concurrent_reconciles: ['gauge', 'controller'],
  controller_runtime_active_workers: ['gauge', 'controller'],
  workqueue_depth: ['gauge', 'name', 'controller', 'priority'],
  workqueue_adds_total: ['counter', 'name', 'controller'],
  workqueue_queue_duration_seconds: ['histogram', 'name', 'controller'],
  workqueue_work_duration_seconds: ['histogram', 'name', 'controller'],
  workqueue_unfinished_work_seconds: ['gauge', 'name', 'controller'],
  workqueue_longest_running_processor_seconds: ['gauge', 'name', 'controller'],
  workqueue_retries_total: ['counter', 'name', 'controller'],
  rest_client_requests_total: ['counter', 'code', 'method', 'host'],
  rest_client_request_duration_seconds: ['histogram', 'verb', 'host'],
  leader_election_master_status: ['gauge', 'name'],
}

test('names, types and labels are those of controller-runtime and client-go, so that their dashboards work unchanged', async () => {
  const exported = metricsOfScrape(await operator.scrape())
  const ours = Object.keys(ofControllerRuntime).map((name) => {
    const { type, labels = [] } = exported.find((metric) => metric.name === name) ?? {}
    return [name, [type, ...labels.filter((label) => label !== 'le').toSorted()]]
  })
  const theirs = Object.entries(ofControllerRuntime).map(([name, [type, ...labels]]) => [
    name,
    [type, ...labels.toSorted()],
  ])
  expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(theirs))
})

test('looks are timed and counted for each controller, and none is in work when nothing is to do', async () => {
  const of = (name: string, labels = {}): Promise<number> =>
    operator.metric(name, { controller: 'modeldeployment', ...labels })
  const looks = await of('controller_runtime_reconcile_time_seconds_count')
  expect(looks).toBeGreaterThan(0)
  expect(await of('controller_runtime_reconcile_time_seconds_sum')).toBeGreaterThan(0)
  expect(await of('workqueue_work_duration_seconds_count')).toBeGreaterThanOrEqual(looks)
  expect(await of('controller_runtime_max_concurrent_reconciles')).toBe(10)
  await eventually('nothing is in work', async () => (await of('workqueue_unfinished_work_seconds')) === 0)
})

test('one process that leads has taken the lease once and never lost it', async () => {
  const transitions = (to: string): Promise<number> => operator.metric('leader_election_transitions_total', { to })
  expect([await transitions('leader'), await transitions('none')]).toEqual([1, 0])
  expect(await operator.metric('leader_election_master_status')).toBe(1)
  expect(await operator.metric('rest_client_fenced_writes_total')).toBe(0)
})

test('cached objects are counted by kind, and fewer when one is deleted', async () => {
  const cached = (resource: string): Promise<number> =>
    operator.metric('reflector_cached_objects', { resource, scope: stage.namespace })
  for (const resource of ['modeldeployments.slipway.dev', 'modelrevisions.slipway.dev', 'deployments.apps'])
    await eventually(
      `three ${resource} are counted`,
      async () => (await cached(resource)) === 3,
      () => cached(resource),
    )
  await stage.client.delete(modelDeployments, stage.namespace, 'c')
  await eventually('two are left', async () => (await cached('modeldeployments.slipway.dev')) === 2)
  expect(await cached('modeldeployments.slipway.dev')).toBe(2)
})

test('a watch that went silent shows in the age of its last event, until it is opened again', async () => {
  const resource = 'modeldeployments.slipway.dev'
  const ageSeconds = (): Promise<number> => operator.metric('reflector_last_event_age_seconds', { resource })
  proxy.play({ fault: { fault: 'silence' }, when: (asked) => asked.resource === resource })
  await stage.apply('a', { model: { uri: uriOf('2') } })
  await eventually('nothing was heard for some seconds, though something happens all the time', async () => {
    const metadata = { annotations: { 'test/now': `${performance.now()}` } }
    await stage.client.mergePatch(modelDeployments, stage.namespace, 'b', { metadata })
    return (await ageSeconds()) > 3
  })
  proxy.heal()
  proxy.cut()
  await eventually('the age begins anew', async () => (await ageSeconds()) < 3)
  // What was missed is done.
  const { status } = await stage.ready('a')
  expect(status?.stable?.revision).toBe(revisionOf('a', { model: { uri: uriOf('2') } }))
})
