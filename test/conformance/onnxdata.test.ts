// A sample of ONNX's recorded models through every form of request; `npm run conformance:onnx` takes them all.
// In a process of its own, because jest's typed arrays are not the ones that ONNX Runtime's binding knows.
import { expect, jest, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { grpcForms } from '../fixtures/grpcforms.ts'
import { wireForms } from '../fixtures/wireforms.ts'

jest.setTimeout(600_000)

test("ONNX's own models answer in every form with the bits of a direct run, and with what ONNX recorded", async () => {
  const program = join(import.meta.dirname, 'onnxdata', 'main.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--sample', '80', '--seed', '7'])
  const [summary = ''] = stdout.trim().split('\n').slice(-1)
  expect(summary).toMatch(/^80 models, [67]\d compared, 0 differences/)
  // A form that can say none of the models differs from none: every form must have said most of them.
  const compared = Number(/(\d+) compared/.exec(summary)?.[1])
  const equal = [...stdout.matchAll(/^ *(\d+) equal bit for bit {2}(.+)$/gm)].map(([, count, form]) => [
    form,
    Number(count),
  ])
  expect(equal.map(([form]) => form)).toEqual([...wireForms, ...grpcForms].map(({ name }) => name))
  expect(equal.filter(([, count]) => Number(count) <= compared / 2)).toEqual([])
})
