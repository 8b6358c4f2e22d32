// NVIDIA's own client, unmodified, against the runtime over HTTP, blocking and asyncio: binary tensors by default.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { addModel, allTypesModel } from '../fixtures/onnx.ts'
import { startServer, type Server } from '../fixtures/runtime.ts'
import { pythonWith } from '../kit/python.ts'

jest.setTimeout(600_000)

interface Result {
  readonly name: string
  readonly error: string | null
}

/** The cases of the script, by what they prove. */
const cases = [
  ['health_and_metadata', 'knows that the server lives and is ready, and what the model is'],
  ['configuration', "gets Triton's configuration"],
  ['binary_both_ways', 'gets every datatype back bit for bit in binary'],
  ['json_both_ways', 'gets every datatype that it can write as JSON back exactly, with its id'],
  ['mixed', 'may ask in JSON for binary, and in binary for JSON'],
  ['compressed', 'may compress with gzip and deflate, both ways'],
  ['classification', 'gets classes where it asks for them'],
  ['asynchronous', 'gets 64 answers at once, each its own'],
  ['priority_and_timeout', 'may send a priority, a timeout and parameters of its own'],
  ['generated_body', 'may leave the sending to others'],
  ['statistics', 'gets statistics that count'],
  ['repository', 'gets the index, and is told who loads and unloads here'],
  ['shared_memory', 'finds no shared memory, no tracing and no log settings, and is told so'],
  ['mistakes', 'is told what is wrong, with the status that it expects'],
  ['asyncio_client', 'does all this with asyncio too'],
] as const

const servers: Server[] = []
const results = new Map<string, string | null>()
beforeAll(async () => {
  const [python, ...started] = await Promise.all([
    pythonWith(['tritonclient[http]==2.73.0']),
    startServer(allTypesModel()),
    startServer(addModel()),
  ])
  servers.push(...started)
  for (const server of servers) await server.ready() // oxlint-disable-line no-await-in-loop -- both start at once
  const script = join(import.meta.dirname, 'tritonclient_http.py')
  const { stdout } = await promisify(execFile)(python, [script, ...servers.map(({ url }) => new URL(url).host)])
  for (const line of stdout.trim().split('\n')) {
    const { name, error } = JSON.parse(line) as Result
    results.set(name, error)
  }
})
afterAll(() => Promise.all(servers.map((server) => server.stop())))

test.each(cases.map(([name, proof]) => ({ name, proof })))('tritonclient over HTTP $proof', ({ name }) => {
  expect(results.get(name)).toBeNull()
})

test('every case of the script is told here', () => {
  expect([...results.keys()].toSorted()).toEqual(cases.map(([name]) => name).toSorted())
})
