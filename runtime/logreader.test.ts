import { expect, jest, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { identityModel } from '../test/fixtures/onnx.ts'
import { infer, startServer } from '../test/fixtures/runtime.ts'

jest.setTimeout(120_000)

const request = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[2]}]}'

test('lines that nobody reads are not kept for ever: the log says how many were left out', async () => {
  const server = await startServer(identityModel('FLOAT'), { SLIPWAY_ACCESS_LOG_RATIO: '1' })
  await server.ready()
  const goOn = server.stall()
  // Lines of 16 KB, 6 MB of them: more than pipes and readers hold, and more than a server keeps.
  const headers = { 'user-agent': 'x'.repeat(16_000) }
  const asked = 400
  for (let count = 0; count < asked; count++) {
    // oxlint-disable-next-line no-await-in-loop -- one after another, so that every line is written in its turn
    expect((await infer(server, request, { headers })).status).toBe(200)
  }
  goOn()
  const lines = () => server.log.filter((line) => line['event.action'] === 'request')
  const leftOut = () => server.log.reduce((sum, line) => sum + Number(line['log.lines_left_out'] ?? 0), 0)
  // What was left out is told by the next line that finds room.
  while (leftOut() === 0) {
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    await infer(server, request)
    // oxlint-disable-next-line no-await-in-loop -- the same
    await sleep(20)
  }
  expect(lines().length).toBeGreaterThan(0)
  expect(leftOut()).toBeGreaterThan(100)
  expect(leftOut()).toBeLessThan(asked)
  await server.stop()
})
