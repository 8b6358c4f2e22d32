// How an operator ends, as a process on a real API server: in order when it is told to, at once when it must.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { configmaps, events, leases } from '../../../operator/kube/resources.ts'
import { connect, createNamespace, until, type Connected } from './server.ts'

let server: Connected
let namespace: string

beforeAll(async () => {
  server = await connect()
})

beforeEach(async () => {
  namespace = await createNamespace(server.client)
})

afterAll(() => server.close())

/** Starts the process, ends it with `ending` while it works, and tells how it went. */
const runUntilWorking = async (args: readonly string[], ending: (pid: number) => unknown) => {
  const program = new URL('process.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [program, namespace, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const lines: string[] = []
    createInterface(child.stdout).on('line', (line) => lines.push(line))
    await until('it works', () => lines.includes('working'))
    const exited = once(child, 'exit')
    await ending(child.pid ?? 0)
    const [code] = (await exited) as [number | null]
    const holder = (await server.client.get(leases, namespace, 'leader')).spec?.holderIdentity
    return { code, lines, holder, text: lines.join('\n') }
  } finally {
    child.kill('SIGKILL')
  }
}

const terminate = (pid: number): boolean => process.kill(pid, 'SIGTERM')

test('told to stop, it finishes what is in work, writes its events, hands the lease over and exits with 0', async () => {
  const { code, lines, holder } = await runUntilWorking(['700'], terminate)
  expect(code).toBe(0)
  expect(lines).toContain('worked')
  expect(holder).toBe('')
  expect(await server.client.find(configmaps, namespace, 'result')).toBeDefined()
  expect((await server.client.list(events, { namespace })).items.map(({ reason }) => reason)).toEqual(['Worked'])
}, 180_000)

test('what does not finish in time is told to stop; the rest of the end is as orderly', async () => {
  const { code, lines, holder, text } = await runUntilWorking(['60000', 'heed'], terminate)
  expect(code).toBe(0)
  expect(lines).not.toContain('worked')
  expect(text).toContain('not finished after 2000 ms')
  expect(holder).toBe('')
}, 180_000)

test('with work that ignores that it keeps the lease until it is over, and the process ends all the same', async () => {
  const { code, holder, text } = await runUntilWorking(['60000', 'ignore'], terminate)
  expect(code).toBe(1)
  expect(text).toContain('something still runs after the end')
  expect(holder).toBe('process')
}, 180_000)

test('when its lease is taken it exits with 1, at once, and leaves the lease as it is', async () => {
  const { code, holder, lines } = await runUntilWorking(['60000', 'ignore'], () =>
    server.client.mergePatch(leases, namespace, 'leader', { spec: { holderIdentity: 'thief' } }),
  )
  expect(code).toBe(1)
  expect(lines).not.toContain('worked')
  expect(holder).toBe('thief')
}, 180_000)
