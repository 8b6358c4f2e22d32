import { afterAll, describe, expect, jest, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { mlpModel } from '../../test/fixtures/onnx.ts'
import { runCommand } from '../../test/fixtures/runtime.ts'
import { gpuFault, gpuShare, gpuSurroundings, providerTimes } from './gpu.ts'

jest.setTimeout(60_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-gpu-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A machine whose files are these, beside the mapped library of ONNX Runtime. */
const machine = (name: string, files: readonly string[]): string => {
  const root = join(folder, name)
  const maps = `7f00-7f01 r-xp 0 00:00 1   ${join(root, 'app/libonnxruntime.so.1')}\n`
  for (const file of ['proc/self/maps', ...files]) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), file === 'proc/self/maps' ? maps : '')
  }
  return root
}
const library = 'app/libonnxruntime_providers_cuda.so'
const driver = ['proc/driver/nvidia/version', 'dev/nvidiactl']

describe('why a GPU cannot be used', () => {
  test.each<[string, readonly string[], string]>([
    ['the image has no CUDA library', [], 'there is no libonnxruntime_providers_cuda.so in'],
    ['the image has no CUDA library, whatever the driver', driver, 'there is no libonnxruntime_providers_cuda.so in'],
    ['no driver', [library], 'no NVIDIA driver can be reached from this container; check that the node has a GPU'],
    [
      'a driver of the node that the container may not see',
      [library, driver[0] ?? ''],
      'no NVIDIA driver can be reached',
    ],
    ['something else', [library, ...driver], 'cannot use it: CUDA failure 35'],
  ])('%s', (name, files, words) => {
    const { code, message } = gpuFault('CUDA failure 35', gpuSurroundings(machine(name.replaceAll(/\W/g, '-'), files)))
    expect(code).toBe('GpuUnavailable')
    expect(message).toContain(words)
  })

  test('nothing is known where the kernel says nothing', () => {
    expect(gpuSurroundings(join(folder, 'nowhere'))).toEqual({ folder: undefined, hasLibrary: false, hasDriver: false })
  })
})

describe('a profile of ONNX Runtime', () => {
  test('says that a model ran on the CPU only, and that is no GPU', () => {
    writeFileSync(join(folder, 'mlp.onnx'), mlpModel())
    const script = `
      const { binding, initOrt } = require('onnxruntime-node/dist/binding.js'); initOrt()
      const session = new binding.InferenceSession()
      session.loadModel(process.argv[1], { enableProfiling: true, profileFilePrefix: process.argv[2] })
      session.run({ x: { type: 'float32', data: new Float32Array(64), dims: [1, 64], location: 'cpu' } }, { y: null }, {})
      session.endProfiling()`
    execFileSync(process.execPath, ['-e', script, join(folder, 'mlp.onnx'), join(folder, 'profile')])
    const [name = ''] = readdirSync(folder).filter((file) => file.startsWith('profile'))
    const times = providerTimes(readFileSync(join(folder, name), 'utf8'))
    expect([...times.keys()]).toEqual(['CPUExecutionProvider'])
    expect(times.get('CPUExecutionProvider')).toBeGreaterThan(0)
    expect(() => gpuShare(times)).toThrow('no part of the model ran on it, only on CPUExecutionProvider')
  })

  test('that counts both gives the share of the GPU', () => {
    const node = (provider: string, dur: number): object => ({ cat: 'Node', dur, args: { provider } })
    const profile = JSON.stringify([
      { cat: 'Session', dur: 5000, args: {} },
      node('CUDAExecutionProvider', 600),
      node('CPUExecutionProvider', 100),
      node('CUDAExecutionProvider', 100),
    ])
    expect(gpuShare(providerTimes(profile))).toBe(0.875)
    expect(() => gpuShare(new Map())).toThrow('only on none')
  })
})

test('a server that was asked for a GPU and gets none is never ready, and ends with the reason', async () => {
  const command = runCommand(
    'serve',
    { SLIPWAY_MODEL_NAME: 'm', SLIPWAY_HTTP_PORT: '0', SLIPWAY_METRICS_PORT: '0', SLIPWAY_DEVICE: 'GPU' },
    mlpModel(),
  )
  expect(await command.finished).toEqual({ code: 1, signal: null })
  expect(command.termination()).toMatchObject({
    ok: false,
    code: 'GpuUnavailable',
    message: expect.stringMatching(/^a GPU was asked for, and there is no libonnxruntime_providers_cuda\.so in \//),
  })
  expect(command.log.some((line) => line['event.action'] === 'ready')).toBe(false)
})
