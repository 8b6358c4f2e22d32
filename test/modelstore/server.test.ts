import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { createStore } from './server.ts'

test('a held file is answered as often as it was said, then held until it is released, and whole in the end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'store-'))
  const content = 'model'.repeat(1000)
  writeFileSync(join(folder, 'a.onnx'), content)
  const server = createStore(folder).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}/faults`
  const held = async (): Promise<string> => (await fetch(`${at}/held/a.onnx?after=1`)).text()
  expect(await held()).toBe(content)
  let isOver = false
  const second = held().finally(() => (isOver = true))
  expect((await fetch(`${at}/gzip/a.onnx`, { method: 'HEAD' })).ok).toBe(true)
  expect(isOver).toBe(false)
  await fetch(`${at}/release/a.onnx`)
  expect(await second).toBe(content)
  expect(await held()).toBe(content)
  server.closeAllConnections()
  server.close()
})
