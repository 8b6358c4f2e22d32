// The agent as it runs in a pod: a process of its own, with the rights that a router has and no other, against a real
// API server. Status and EndpointSlices are written here, as the operator and Kubernetes would.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readlink, readdir, rm, mkdtemp, stat } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { request } from 'undici'
import type { RouterState } from '../../../operator/api/routerstate.ts'
import { endpointslices, resource, serviceaccounts } from '../../../operator/kube/resources.ts'
import { modelDeployments } from '../../../operator/modeldeployment/resources.ts'
import { adminSocket, agentSocket } from '../../../router/xds/bootstrap.ts'
import { outageMs } from '../../faults/length.ts'
import { installCrds, connect as connectPlainly } from '../api/server.ts'
import { connect, createNamespace, credentials, startRelay, type Connected, type Relay } from '../kube/server.ts'
import { eventually } from '../operator/eventually.ts'
import { identify, roles, serviceAccount, type Identity } from '../operator/rights.ts'
import { startEnvoy, type EnvoyProcess } from './envoy.ts'
import { countOf, failures, openClient, type Answer, type Client } from './load.ts'
import { sliceOf, specOf, statusOf, type Condition, type Traffic } from './objects.ts'
import { freePort } from './stage.ts'
import { startPod, type Pod } from './upstream.ts'

const hour = 3_600_000
const hasJumped = (line: string): boolean => line.includes('the clock jumped')

interface AgentProcess {
  readonly pid: number
  readonly port: number
  readonly log: readonly string[]
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
}

const main = join(import.meta.dirname, '..', '..', '..', 'router', 'main.ts')
const rolebindings = resource('rbac.authorization.k8s.io', 'v1', 'rolebindings', 'RoleBinding')

let api: Connected
let relay: Relay
let identity: Identity
let namespace = ''
let folder = ''
let envoy: EnvoyProcess
let agent: AgentProcess
let client: Client
let port = 0
let epoch = 0
let stable: Pod
let canary: Pod

/** The API server takes no loopback addresses in an EndpointSlice. */
const ownAddress = (): string => {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found === undefined)
    throw new Error('this machine has no IPv4 address but loopback, which no EndpointSlice may name')
  return found.address
}

const environment = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  KUBECONFIG: identity.kubeconfig,
  POD_NAME: 'router-0',
  POD_NAMESPACE: namespace,
  SLIPWAY_ROUTER_FOLDER: folder,
  SLIPWAY_AGENT_PORT: '0',
  SLIPWAY_DRAIN_DELAY: '500ms',
  SLIPWAY_DRAIN_TIMEOUT: '20s',
})

const startAgent = async (more: Record<string, string> = {}): Promise<AgentProcess> => {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, main], {
    env: { ...environment(), ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: string[] = []
  let listens = 0
  createInterface(child.stdout).on('line', (line) => {
    log.push(line)
    listens ||= line.includes('the agent listens') ? (JSON.parse(line) as { port: number }).port : 0
  })
  createInterface(child.stderr).on('line', (line) => log.push(line))
  const exited = once(child, 'exit')
  await eventually(
    'the agent listens or ends',
    () => listens > 0 || child.exitCode !== null,
    () => log,
  )
  return {
    pid: child.pid ?? 0,
    port: listens,
    log,
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await exited
      return child.exitCode
    },
  }
}

const get = async (path: string): Promise<{ status: number; text: string }> => {
  const { statusCode, body } = await request(`http://127.0.0.1:${agent.port}${path}`)
  return { status: statusCode, text: await body.text() }
}

const state = async (): Promise<RouterState | undefined> => {
  const { status, text } = await get('/state')
  return status === 200 ? (JSON.parse(text) as RouterState) : undefined
}

const described = async (): Promise<string> => `${(await get('/state')).text}\n${agent.log.slice(-20).join('\n')}`

const applied = (): Promise<unknown> =>
  eventually(`epoch ${epoch} is applied`, async () => (await state())?.models[0]?.appliedEpoch === epoch, described)

/** As the operator does: the status in one write. */
const ask = async (canaryWeight: number, more: Partial<Traffic> = {}): Promise<void> => {
  epoch += 1
  const weights = { 'fraud-a': 1000 - canaryWeight, 'fraud-b': canaryWeight }
  const traffic = { port, epoch, weights, stable: 'fraud-a', candidate: 'fraud-b', ...more }
  await api.client.mergePatch(
    modelDeployments,
    namespace,
    'fraud',
    { status: statusOf(traffic) },
    { subresource: 'status' },
  )
}

/** As the endpoint controller does. */
const publish = async (pod: Pod, condition: Condition = 'ready'): Promise<void> => {
  const { resourceVersion: _, ...metadata } = sliceOf(pod).metadata
  await api.client.apply(endpointslices, { ...sliceOf(pod, condition), metadata: { ...metadata, namespace } })
}

beforeAll(async () => {
  const plain = await connectPlainly()
  await installCrds(plain)
  await plain.close()
  api = await connect()
  namespace = await createNamespace(api.client)
  await grantReading(namespace)
  relay = await startRelay((await credentials()).server)
  identity = await identify(api.client, namespace, relay.server)
  folder = await mkdtemp(join(tmpdir(), 'slipway-agent-'))
  port = await freePort()
  const init = spawn(process.execPath, [main, 'init'], { env: environment(), stdio: 'inherit' })
  const [code] = (await once(init, 'exit')) as [number]
  if (code !== 0) throw new Error(`init ended with ${code}`)
  envoy = await startEnvoy(folder)
  stable = await startPod('fraud-a', { address: ownAddress() })
  canary = await startPod('fraud-b', { address: ownAddress() })
  client = openClient(port)
})

afterAll(async () => {
  await client.close()
  await agent.end('SIGKILL')
  await envoy.end('SIGKILL')
  await Promise.all([stable.kill(), canary.kill(), relay.close(), identity.remove(), api.close()])
  await rm(folder, { recursive: true, force: true })
})

/** The rights of a router and no other. */
const grantReading = async (where: string): Promise<void> => {
  const metadata = { namespace: where, name: serviceAccount }
  const group = 'rbac.authorization.k8s.io'
  const rules = [
    ['slipway.dev', 'modeldeployments'],
    ['discovery.k8s.io', 'endpointslices'],
  ].map(([apiGroup, kind]) => ({ apiGroups: [apiGroup], resources: [kind], verbs: ['get', 'list', 'watch'] }))
  const role = { apiVersion: `${group}/v1`, kind: 'Role', metadata, rules }
  const binding = {
    apiVersion: `${group}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: group, kind: 'Role', name: serviceAccount },
    subjects: [{ kind: 'ServiceAccount', name: serviceAccount, namespace: where }],
  }
  await api.client.apply(serviceaccounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata })
  await api.client.apply(roles, role)
  await api.client.apply(rolebindings, binding)
}

describe('the agent in its pod', () => {
  test('is not ready while the API server has told it nothing', async () => {
    relay.cut()
    agent = await startAgent()
    expect((await get('/livez')).status).toBe(200)
    expect(await get('/readyz')).toMatchObject({ status: 503 })
    await eventually('it says why', async () => (await get('/readyz')).text.includes('has not been heard'), described)
  })

  test('serves what the API server says, and is ready when Envoy has all of it', async () => {
    relay.heal()
    await publish(stable)
    await publish(canary)
    const object = {
      apiVersion: 'slipway.dev/v1alpha1',
      kind: 'ModelDeployment',
      metadata: { name: 'fraud', namespace },
    }
    await api.client.apply(modelDeployments, { ...object, spec: specOf({ port, epoch, weights: {} }) })
    await ask(0)
    await applied()
    await eventually('it is ready', async () => (await get('/readyz')).status === 200, described)
    expect(failures(await client.many(50))).toEqual([])
  })

  test('follows epochs and endpoints', async () => {
    for (const weight of [10, 500, 1000]) {
      await ask(weight)
      await applied()
    }
    expect(countOf(await client.many(50), 'fraud-b')).toBe(50)
    await publish(canary, 'ending')
    const emptied = async (): Promise<boolean> => (await state())?.models[0]?.emptied.includes('fraud-b') === true
    await eventually('it sees the pod go', emptied, described)
    await eventually('stable answers', async () => countOf(await client.many(10), 'fraud-a') === 10)
    await publish(canary)
  })

  test('lets nobody else publish: a second agent ends at once and writes nothing', async () => {
    // A socket that was made anew would be the second agent's, and nobody's when that ends.
    const socket = async (): Promise<number> => (await stat(join(folder, agentSocket))).ino
    const before = await socket()
    const second = await startAgent({ SLIPWAY_AGENT_PORT: String(agent.port) })
    expect(await second.end('SIGKILL')).not.toBe(0)
    expect(second.log.join('\n')).toContain('EADDRINUSE')
    expect(await socket()).toBe(before)
  })

  test('keeps serving while the API server is away, through a restart of its own and of Envoy', async () => {
    await ask(300)
    await applied()
    relay.cut()
    await agent.end('SIGKILL')
    agent = await startAgent()
    await eventually('it is ready again', async () => (await get('/readyz')).status === 200, described)
    await envoy.end('SIGKILL')
    envoy = await startEnvoy(folder)
    await eventually('Envoy serves again', async () => (await get('/readyz')).status === 200, described)
    const answers = await client.many(200)
    expect(failures(answers)).toEqual([])
    expect((await state())?.models[0]?.revisions.map(({ weight }) => weight)).toEqual([700, 300])
    relay.heal()
    await ask(0)
    await applied()
  })

  test(
    'serves through a long absence of the API server, finds a pod that died by itself, and follows again afterwards',
    async () => {
      const dying = await startPod('fraud-a', { address: ownAddress() })
      await publish(dying)
      const lists = (count: number) => async (): Promise<boolean> =>
        (await state())?.models[0]?.revisions[0]?.readyEndpoints === count
      await eventually('it sees both pods of stable', lists(2), described)
      relay.cut()
      await dying.kill()
      const answers: Answer[] = []
      for (const until = performance.now() + outageMs; performance.now() < until; await sleep(20))
        answers.push(await client.ask())
      expect(answers.length).toBeGreaterThan(0)
      expect(failures(answers)).toEqual([])
      expect((await get('/readyz')).status).toBe(200)
      relay.heal()
      await publish(dying, 'ended')
      await eventually('it sees that one is gone', lists(1), described)
      await ask(400)
      await applied()
      await ask(0)
      await applied()
    },
    outageMs + 300_000,
  )

  test('whose wall clock jumps an hour ahead and two back follows epochs and pods all the same, and loses no request', async () => {
    await agent.end('SIGKILL')
    agent = await startAgent({
      NODE_OPTIONS: `--import ${join(import.meta.dirname, '..', '..', 'faults', 'clock.ts')}`,
      SLIPWAY_TEST_CLOCK_JUMPS: `${hour},${-2 * hour}`,
    })
    await eventually('it is ready', async () => (await get('/readyz')).status === 200, described)
    const change = async (): Promise<void> => {
      for (const [jumps, weight] of [
        [1, 500],
        [2, 300],
      ] as const) {
        process.kill(agent.pid, 'SIGUSR2')
        await eventually('the clock has jumped', () => agent.log.filter(hasJumped).length === jumps, described)
        await ask(weight)
        await applied()
        expect((await state())?.models[0]?.revisions.map((of) => of.weight)).toEqual([1000 - weight, weight])
        await publish(canary, 'ending')
        await eventually('it sees the pod go', async () => (await state())?.models[0]?.emptied.length === 1, described)
        await publish(canary)
        await eventually(
          'it sees the pod come',
          async () => (await state())?.models[0]?.emptied.length === 0,
          described,
        )
      }
    }
    const users = openClient(port)
    expect(failures(await users.during(change(), 4))).toEqual([])
    await users.close()
    // Told an old epoch again, it stays at the one that it has, whatever the time is.
    epoch -= 2
    await ask(0)
    await eventually('it has heard it', async () => (await state())?.models[0]?.wantedEpoch === epoch, described)
    epoch += 1
    const now = await state()
    expect([now?.models[0]?.appliedEpoch, now?.models[0]?.revisions.map((of) => of.weight)]).toEqual([
      epoch,
      [700, 300],
    ])
    await ask(0)
    await applied()
  })

  test("Envoy's admin interface is a file of its own user, and no port of it is open besides the models'", async () => {
    expect(((await stat(join(folder, adminSocket))).mode & 0o777).toString(8)).toBe('600')
    expect(await listeningPorts(envoy.pid)).toEqual([port])
  })

  test('told to end, it drains Envoy first and loses no request', async () => {
    const ending = agent.end('SIGTERM')
    const users = openClient(port)
    const leave = eventually('it drains', async () => (await get('/readyz')).text.includes('draining')).then(() =>
      users.many(100),
    )
    expect(failures(await users.during(leave, 4))).toEqual([])
    await Promise.all([users.close(), client.close()])
    expect(await ending).toBe(0)
    expect(envoy.isRunning()).toBe(true)
  })
})

/** The TCP ports on which a process listens. */
const listeningPorts = async (pid: number): Promise<number[]> => {
  const links = await Promise.all(
    (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')),
  )
  const sockets = new Set(links.map((link) => /^socket:\[([0-9]+)\]$/.exec(link)?.[1]))
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8')))
  const listen = '0A'
  const ports = tables.flatMap((table) =>
    table
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((row) => row[3] === listen && sockets.has(row[9]))
      .map((row) => parseInt(row[1]?.split(':')[1] ?? '', 16)),
  )
  return [...new Set(ports)]
}
