// The cluster tool itself, on a second cluster beside the one that the other tests use.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { clusterAddresses, type ClusterAddresses } from '../cluster/addresses.ts'
import { waitUntil } from '../cluster/api.ts'
import { kubectlPath, pausePath } from '../cluster/binaries.ts'
import { groupFolders } from '../cluster/cgroups.ts'
import { mountsBelow } from '../cluster/mounts.ts'
import { linkExists } from '../cluster/network.ts'
import { findMarked } from '../cluster/processes.ts'
import { pushProgram } from '../cluster/registry.ts'
import { silent } from '../cluster/report.ts'
import { clusterDir, readState } from '../cluster/state.ts'

const run = promisify(execFile)
const NAME = 'selftest'
const NODES = 2
const MAIN = join(import.meta.dirname, '..', 'cluster', 'main.ts')
const NOTHING = { processes: [], podProcesses: [], links: [], groups: [], mounts: [], sockets: [], routes: [] }

/** `npm run cluster -- …` as a person runs it. Returns its stdout. */
const cluster = async (...args: string[]): Promise<string> =>
  (await run(process.execPath, [MAIN, ...args, '--name', NAME], { timeout: 900_000 })).stdout

const kubectl = async (...args: string[]): Promise<string> => {
  const kubeconfig = join(clusterDir(NAME), 'kubeconfig')
  return (await run(await kubectlPath(), ['--kubeconfig', kubeconfig, ...args], { timeout: 120_000 })).stdout
}

describe('a cluster with two nodes', () => {
  let hostBefore: Record<string, string>
  let addresses: ClusterAddresses

  beforeAll(async () => {
    await cluster('down')
    hostBefore = await hostState()
    await cluster('up', '--nodes', String(NODES))
    addresses = clusterAddresses(NAME, (await readState(NAME))?.index ?? -1, NODES)
  }, 900_000)

  afterAll(async () => {
    await cluster('down')
  }, 60_000)

  test('`up` on one that is up says so, and asks for another name when more nodes are wanted', async () => {
    const before = findMarked(clusterDir(NAME)).map(({ pid }) => pid)
    expect(await cluster('up', '--nodes', String(NODES))).toContain(`The cluster "${NAME}" is up already.`)
    await expect(cluster('up', '--nodes', '1')).rejects.toThrow(/is up with 2 node\(s\)\. Take it down first/)
    expect(findMarked(clusterDir(NAME)).map(({ pid }) => pid)).toEqual(expect.arrayContaining(before))
  }, 60_000)

  test('a pod runs on each node, from an image in the cluster’s own registry', async () => {
    const image = await pushProgram(addresses.registry, 'selftest', await pausePath(silent))
    for (const { name } of addresses.nodes) {
      const overrides = JSON.stringify({ spec: { nodeName: name, terminationGracePeriodSeconds: 0 } })
      await kubectl('run', `on-${name}`, `--image=${image}`, '--restart=Never', `--overrides=${overrides}`)
    }
    await kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s')
    expect(podProcesses(addresses).length).toBeGreaterThanOrEqual(2 * NODES)
  }, 180_000)

  test('a node whose cable is pulled becomes NotReady, and Ready again when it is back', async () => {
    const [, second] = addresses.nodes
    const readiness = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    const isReady = async (): Promise<string> => kubectl('get', 'node', second?.name ?? '', readiness)
    expect(await isReady()).toBe('True')
    await run('ip', ['link', 'set', second?.link ?? '', 'down'])
    await waitUntil('it is lost', async () => (await isReady()) === 'Unknown', { timeoutMs: 90_000 })
    await run('ip', ['link', 'set', second?.link ?? '', 'up'])
    await waitUntil('it is back', async () => (await isReady()) === 'True', { timeoutMs: 90_000 })
  }, 240_000)

  test('`down` after a kill -9 of everything leaves nothing, twice', async () => {
    const victims = [...findMarked(clusterDir(NAME)).map(({ pid }) => pid), ...podProcesses(addresses)]
    expect(victims.length).toBeGreaterThan(10)
    for (const pid of victims) killIfThere(pid)

    expect(await cluster('down')).toContain(`The cluster "${NAME}" is gone.`)
    expect(await leftovers(addresses)).toEqual(NOTHING)
    expect(existsSync(clusterDir(NAME))).toBe(false)
    expect(await hostState()).toEqual(hostBefore)
    expect(await cluster('down')).toContain(`There is no cluster "${NAME}".`)
  }, 120_000)

  test('`down` finds a running cluster whose records were lost', async () => {
    await cluster('up', '--nodes', String(NODES))
    const { index = -1 } = (await readState(NAME)) ?? {}
    for (const record of ['cluster.json', 'pids']) await rm(join(clusterDir(NAME), record), { recursive: true })
    expect(await cluster('down')).toContain(`The cluster "${NAME}" is gone.`)
    expect(await leftovers(clusterAddresses(NAME, index, NODES))).toEqual(NOTHING)
  }, 240_000)

  test('`up` after a kill -9 of everything clears what is left and starts again; `down` of a whole one leaves nothing', async () => {
    await cluster('up')
    const [node] = addresses.nodes
    for (const { pid } of findMarked(clusterDir(NAME))) killIfThere(pid)
    expect(await cluster('up')).toContain(`The cluster "${NAME}" is up.`)
    expect(await kubectl('get', 'nodes', '-o=name')).toBe(`node/${node?.name ?? ''}\n`)

    await cluster('down')
    expect(await leftovers(addresses)).toEqual(NOTHING)
    expect(await hostState()).toEqual(hostBefore)
  }, 240_000)
})

/** Everything that a cluster could leave behind, found without its records. */
async function leftovers(addresses: ClusterAddresses): Promise<Record<keyof typeof NOTHING, unknown[]>> {
  const dir = clusterDir(NAME)
  const { bridge, nodes } = addresses
  const links = [bridge, ...nodes.map(({ link }) => link)]
  const exist = await Promise.all(links.map(linkExists))
  const lines = (text: string, part: string): string[] => text.split('\n').filter((line) => line.includes(part))
  return {
    processes: findMarked(dir).map(({ name }) => name),
    podProcesses: podProcesses(addresses),
    links: links.filter((_, position) => exist[position]),
    groups: nodes.flatMap(({ cgroup }) => groupFolders(cgroup)),
    mounts: await mountsBelow(dir),
    sockets: lines(readFileSync('/proc/net/unix', 'utf8'), dir),
    routes: lines((await run('ip', ['route'])).stdout, bridge),
  }
}

/** What a cluster must never change on its host. Counters of the firewall move by themselves. */
async function hostState(): Promise<Record<string, string>> {
  const settings = ['vm/overcommit_memory', 'kernel/panic', 'kernel/panic_on_oops', 'net/ipv4/ip_forward']
  const values = settings.map((name) => [name, readFileSync(`/proc/sys/${name}`, 'utf8').trim()])
  const { stdout: rules } = await run('iptables-save')
  return { ...Object.fromEntries(values), firewall: rules.replaceAll(/^#.*$|\[\d+:\d+\]/gm, '') }
}

/** The processes of all pods: those in the control groups of the nodes. */
function podProcesses({ nodes }: ClusterAddresses): number[] {
  const folders = nodes.flatMap(({ cgroup }) => groupFolders(cgroup)).filter((path) => existsSync(path))
  const lists = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('cgroup.procs'))
      .map((path) => readFileSync(join(folder, path), 'utf8')),
  )
  return [...new Set(lists.flatMap((list) => list.split('\n').filter(Boolean)).map(Number))]
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
