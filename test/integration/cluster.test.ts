import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { describe, expect, test } from '@jest/globals'
import { ApiClient, waitUntil } from '../cluster/api.ts'
import { type ControlPlane, startControlPlane } from '../cluster/controlplane.ts'
import { findMarked, isAlive, type ProcessRecord } from '../cluster/processes.ts'

const CONTROL_PLANE_MODULE = new URL('../cluster/controlplane.ts', import.meta.url).href

describe('a control plane', () => {
  test('two run at once without knowing of each other, and both end without a trace', async () => {
    const planes = await Promise.all([startControlPlane(), startControlPlane({ controllers: false })])
    try {
      expect(new Set(planes.map(({ server }) => server)).size).toBe(2)
      expect(planes.map(({ processes }) => processes.map(({ name }) => name))).toEqual([
        ['etcd', 'kube-apiserver', 'kube-controller-manager'],
        ['etcd', 'kube-apiserver'],
      ])
      const [first, second] = planes
      await createNamespace(first, 'only-in-the-first')
      expect(await statusOf(first, '/api/v1/namespaces/only-in-the-first')).toBe(200)
      expect(await statusOf(second, '/api/v1/namespaces/only-in-the-first')).toBe(404)
      expect(await readFile(first.auditLog, 'utf8')).toContain('"verb":"create"')
    } finally {
      await Promise.all(planes.map((plane) => plane.stop()))
    }
    for (const plane of planes) {
      expect(plane.processes.filter(isAlive)).toEqual([])
      expect(findMarked(plane.dir)).toEqual([])
      expect(existsSync(plane.dir)).toBe(false)
      await plane.stop()
    }
  }, 120_000)

  test('its processes die with the one that started it, even by kill -9, and the next start removes its folder', async () => {
    const program = `
      import { startControlPlane } from '${CONTROL_PLANE_MODULE}'
      const { dir, processes } = await startControlPlane({ controllers: false })
      console.log(JSON.stringify({ dir, processes }))
      setInterval(() => {}, 1000)`
    const starter = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const line = await new Promise<string>((resolve, reject) => {
      createInterface(starter.stdout).once('line', resolve)
      starter.once('exit', () => reject(new Error('it ended before it started anything')))
    })
    const { dir, processes } = JSON.parse(line) as { dir: string; processes: ProcessRecord[] }
    expect(processes.filter(isAlive)).toHaveLength(2)

    starter.kill('SIGKILL')
    await waitUntil('its processes are gone', async () => !processes.some(isAlive), { timeoutMs: 20_000 })
    expect(existsSync(dir)).toBe(true)

    const next = await startControlPlane({ controllers: false })
    expect(existsSync(dir)).toBe(false)
    await next.stop()
  }, 120_000)

  test('a program that cannot start is named with the end of its log, and nothing is left running', async () => {
    const dir = `${process.env['TMPDIR'] ?? '/tmp'}/slipway-broken-${process.pid}`
    const broken = startControlPlane({ dir, controllers: false, apiserverFlags: ['--no-such-flag'] })
    await expect(broken).rejects.toThrow(/kube-apiserver exited with code 1[^]*unknown flag: --no-such-flag/)
    expect(findMarked(dir)).toEqual([])
    expect(existsSync(dir)).toBe(false)
  }, 60_000)
})

async function createNamespace(plane: ControlPlane, name: string): Promise<void> {
  const api = new ApiClient(plane.dir, plane.server)
  const { status } = await api.send('POST', '/api/v1/namespaces', { metadata: { name } })
  await api.close()
  expect(status).toBe(201)
}

async function statusOf(plane: ControlPlane, path: string): Promise<number> {
  const api = new ApiClient(plane.dir, plane.server)
  const { status } = await api.send('GET', path)
  await api.close()
  return status
}
