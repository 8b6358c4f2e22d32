import { afterEach, expect, test } from '@jest/globals'
import { request } from 'undici'
import { startHttp, type HttpServers } from './http.ts'
import { createRegistry } from './metrics.ts'

let servers: HttpServers | undefined

afterEach(async () => {
  await servers?.close()
  servers = undefined
})

const get = async (port: number, path: string): Promise<[number, string]> => {
  const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`)
  return [statusCode, await body.text()]
}

test('alive from the first moment, ready when there is no reason against it, and it says the reason', async () => {
  let notReady: string | undefined = 'not listed yet: pods'
  const ports = { metricsPort: 0, healthPort: 0, host: '127.0.0.1' }
  servers = await startHttp(ports, createRegistry(), () => notReady)
  expect(await get(servers.healthPort, '/healthz')).toEqual([200, 'ok\n'])
  expect(await get(servers.healthPort, '/readyz')).toEqual([503, 'not listed yet: pods\n'])
  notReady = undefined
  expect(await get(servers.healthPort, '/readyz')).toEqual([200, 'ok\n'])
  expect((await get(servers.healthPort, '/metrics'))[0]).toBe(404)
})

test('metrics are on a port of their own and tell the lag of the event loop', async () => {
  servers = await startHttp({ metricsPort: 0, healthPort: 0, host: '127.0.0.1' }, createRegistry(), () => undefined)
  const [status, text] = await get(servers.metricsPort, '/metrics')
  expect(status).toBe(200)
  expect(text).toContain('nodejs_eventloop_lag_p99_seconds')
  expect(text).toContain('process_resident_memory_bytes')
  expect((await get(servers.metricsPort, '/healthz'))[0]).toBe(404)
})

test('a port that is taken is an error, and nothing is left listening', async () => {
  servers = await startHttp({ metricsPort: 0, healthPort: 0, host: '127.0.0.1' }, createRegistry(), () => undefined)
  const taken = { metricsPort: 0, healthPort: servers.healthPort, host: '127.0.0.1' }
  await expect(startHttp(taken, createRegistry(), () => undefined)).rejects.toThrow('EADDRINUSE')
})
