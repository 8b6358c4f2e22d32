import { expect, jest, test } from '@jest/globals'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { serveHere } from '../../test/fixtures/inprocess.ts'
import { identityModel } from '../../test/fixtures/onnx.ts'

jest.setTimeout(60_000)

const until = async (claim: () => boolean): Promise<void> => {
  while (!claim()) await sleep(5) // oxlint-disable-line no-await-in-loop
}

test('the body of a client that goes away while it waits takes the next body', async () => {
  // Whoever comes alone waits a minute for company.
  const model = identityModel('FLOAT', ['batch', 50_000])
  const here = await serveHere(model, { maxBatch: 2, maxDelayMs: 60_000, spareBytes: 1_000_000 })
  const tensor = Buffer.alloc(200_000)
  const input = { name: 'x', shape: [1, 50_000], datatype: 'FP32', parameters: { binary_data_size: tensor.length } }
  const head = Buffer.from(JSON.stringify({ inputs: [input] }))
  const client = connect(here.port, '127.0.0.1')
  client.on('error', () => {})
  client.write(
    `POST /v2/models/m/infer HTTP/1.1\r\nhost: m\r\ncontent-length: ${head.length + tensor.length}\r\n` +
      `inference-header-content-length: ${head.length}\r\n\r\n`,
  )
  client.write(Buffer.concat([head, tensor]))
  await until(() => here.live.scheduler.waiting === 1)
  expect(here.memory.freeBytes).toBe(0)
  client.destroy()
  await until(() => here.statuses.length > 0)
  expect(here.statuses).toEqual([499])
  expect(here.memory.freeBytes).toBeGreaterThanOrEqual(tensor.length)
  expect(here.live.scheduler.waiting).toBe(0)
  await here.close()
})
