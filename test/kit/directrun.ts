// The answer that a model gives without any server: onnxruntime on the same file and the same request, in a process
// of its own, because jest's typed arrays are not the ones that onnxruntime's binding knows.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const program = new URL('directrun.main.ts', import.meta.url).pathname

/**
 * Runs an Open Inference Protocol request (FP32 and INT64 inputs, flat data) directly.
 *
 * @returns every output's values by name; compare answers with `sameFloats`
 */
export const directRun = async (model: string, request: string): Promise<Record<string, number[]>> => {
  const child = run(process.execPath, [program, model], { maxBuffer: 64 << 20 })
  child.child.stdin?.end(request)
  return JSON.parse((await child).stdout) as Record<string, number[]>
}

/** True when both are the same 32-bit floats; an answer may print them with fewer digits than a 64-bit float has. */
export const sameFloats = (answer: readonly number[], direct: readonly number[]): boolean =>
  answer.length === direct.length && answer.every((value, i) => Math.fround(value) === direct[i])
