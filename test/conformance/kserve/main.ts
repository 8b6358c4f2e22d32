// `npm run conformance:kserve`: KServe's own SDK client, unmodified, against the runtime. The first run fetches it from
// PyPI (529 MB), which is why it is a command and no test. Ends with 1 when a case fails.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { addModel, allTypesModel } from '../../fixtures/onnx.ts'
import { stageRuntime } from '../../fixtures/program.ts'
import { startServer } from '../../fixtures/runtime.ts'
import { pythonWith } from '../../kit/python.ts'

await stageRuntime()
const python = await pythonWith(['kserve==0.21.0'])
const [types, adding] = await Promise.all([startServer(allTypesModel()), startServer(addModel())])
try {
  await types.ready()
  await adding.ready()
  const script = join(import.meta.dirname, 'client.py')
  const { stdout } = await promisify(execFile)(python, [script, types.url, types.grpcAddress, adding.url])
  const results = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; error: string | null })
  for (const { name, error } of results) console.log(error === null ? `ok      ${name}` : `FAILED  ${name}\n${error}`)
  process.exitCode = results.every(({ error }) => error === null) ? 0 : 1
} finally {
  await Promise.all([types.stop(), adding.stop()])
}
