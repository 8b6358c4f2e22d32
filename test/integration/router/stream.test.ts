// Whether the tables of router/stream/schema.ts are right is for Envoy to say: it is told everything that we ever tell
// it, and what it then has is read back and compared. A wrong number or type would be another field there, or none.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Client } from 'undici'
import { readConfig } from '../../../router/config.ts'
import { EnvoyAdmin, EnvoyGone } from '../../../router/envoy/admin.ts'
import { EnvoyLog } from '../../../router/envoy/log.ts'
import { endpoints, setting } from '../../../router/fixtures.ts'
import { prepare } from '../../../router/prepare.ts'
import { Publisher } from '../../../router/publish/publisher.ts'
import { serveDiscovery } from '../../../router/stream/server.ts'
import { adminSocket } from '../../../router/xds/bootstrap.ts'
import type { Message } from '../../../router/xds/json.ts'
import { renderModel, type RenderedModel } from '../../../router/xds/render.ts'
import { eventually } from '../operator/eventually.ts'
import { startEnvoy, type EnvoyProcess } from './envoy.ts'
import { freePort } from './stage.ts'

let folder = ''
let envoy: EnvoyProcess
let admin: EnvoyAdmin
let discovery: { close(): Promise<void> }
let models: readonly RenderedModel[] = []
let dump: readonly Message[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-stream-'))
  await prepare(readConfig({ POD_NAMESPACE: 'shop', POD_NAME: 'router-0', SLIPWAY_ROUTER_FOLDER: folder }))
  admin = new EnvoyAdmin(folder)
  const publisher = new Publisher(admin, new EnvoyLog(folder, () => {}))
  discovery = await serveDiscovery(folder, publisher)
  envoy = await startEnvoy(folder)
  // All that there is: a mirror, a sticky header, an IPv6 pod, a pod without HTTP, a revision without pods.
  const pods = new Map([
    ...endpoints,
    ['fraud-bbbbbbbbbb', { ready: 1, http: [{ address: 'fd00::1', port: 8080 }], grpc: [] }],
    ['fraud-cccccccccc', { ready: 0, http: [], grpc: [] }],
  ])
  const mirrored = { ...setting, port: await freePort(), mirror: { revision: 'fraud-bbbbbbbbbb', perMille: 250 } }
  const sticky = { ...setting, name: 'sticky', port: await freePort(), stickyHeader: 'x-user-id', timeoutMs: 1500 }
  models = [mirrored, sticky].map((one) => renderModel(one, pods, { listenAddress: '0.0.0.0' }))
  await eventually(
    'Envoy has all of it',
    async () =>
      publisher.step(models).catch((error: unknown) => {
        if (error instanceof EnvoyGone) return false
        throw error
      }),
    () => models.map((model) => publisher.refusalOf(model)),
  )
  const client = new Client('http://envoy', { socketPath: join(folder, adminSocket) })
  const { body } = await client.request({ method: 'GET', path: '/config_dump?include_eds' })
  dump = ((await body.json()) as { configs: Message[] }).configs
  await client.close()
})

afterAll(async () => {
  await envoy.end('SIGKILL')
  await Promise.all([admin.close(), discovery.close()])
  await rm(folder, { recursive: true, force: true })
})

describe('what Envoy has is what it was told', () => {
  test('clusters', () => {
    const has = dumped('Cluster', 'dynamic_active_clusters', 'cluster')
    for (const { name, message } of models.flatMap(({ clusters }) => clusters))
      expect(differences(message, has.get(name), name)).toEqual([])
  })

  test('listeners', () => {
    const has = dumped('Listener', 'dynamic_listeners', 'active_state', 'listener')
    for (const { listener } of models)
      expect(differences(listener.message, has.get(listener.name), listener.name)).toEqual([])
  })

  test('routes', () => {
    const has = dumped('RouteConfiguration', 'dynamic_route_configs', 'route_config')
    for (const { routes } of models) expect(differences(routes.message, has.get(routes.name), routes.name)).toEqual([])
  })

  test('pods, to which it adds what it thinks of them', () => {
    const has = dumped('ClusterLoadAssignment', 'dynamic_endpoint_configs', 'endpoint_config')
    for (const { name, message, isEmpty } of models.flatMap(({ endpoints: pods }) => pods)) {
      if (isEmpty) {
        expect(has.get(name)).not.toHaveProperty('endpoints')
        continue
      }
      const added = /load_balancing_weight|health_status|metadata|locality|priority|policy|hostname|named_endpoints/
      // Envoy repeats neither the pod's own port, where health is asked there, nor that health is not asked.
      const untold = /health_check_config\.(port_value: 8080|disable_active_health_check: true) is undefined/
      const found = differences(message, has.get(name), name)
      expect(found.filter((difference) => !added.test(difference) && !untold.test(difference))).toEqual([])
    }
  })
})

/** By name: the messages of one kind. */
const dumped = (type: string, list: string, ...path: readonly string[]): Map<string, Message> => {
  const lists = dump.flatMap((config) => (config[list] as Message[] | undefined) ?? [])
  const found = lists.map((entry) => path.reduce((at, step) => at[step] as Message, entry))
  expect(found.map((message) => message['@type'])).toContain(
    `type.googleapis.com/envoy.config.${areaOf(type)}.v3.${type}`,
  )
  return new Map(found.map((message) => [String(message['name'] ?? message['cluster_name']), message]))
}

const areaOf = (type: string): string =>
  type === 'ClusterLoadAssignment' ? 'endpoint' : type === 'RouteConfiguration' ? 'route' : type.toLowerCase()

/** Where two differ, as sentences. What has protobuf's default value may be left out on either side. */
const differences = (ours: unknown, theirs: unknown, at: string): string[] => {
  if (isDefault(ours) && theirs === undefined) return []
  if (typeof ours === 'string' && typeof theirs === 'string' && seconds(ours) !== undefined) {
    return seconds(ours) === seconds(theirs) ? [] : [`${at}: ${ours} is ${theirs}`]
  }
  if (typeof ours !== 'object' || typeof theirs !== 'object' || ours === null || theirs === null) {
    // 64-bit integers are texts in protobuf's JSON.
    return String(ours) === String(theirs) ? [] : [`${at}: ${JSON.stringify(ours)} is ${JSON.stringify(theirs)}`]
  }
  const [mine, other] = [ours as Message, theirs as Message]
  const keys = new Set([...Object.keys(mine), ...Object.keys(other)])
  return [...keys].flatMap((key) => differences(mine[key], other[key], `${at}.${key}`))
}

const isDefault = (value: unknown): boolean =>
  value === 0 || value === false || value === '' || value === 'AUTO' || (Array.isArray(value) && value.length === 0)

const seconds = (text: string): number | undefined => (/^[0-9.]+s$/.test(text) ? Number.parseFloat(text) : undefined)
