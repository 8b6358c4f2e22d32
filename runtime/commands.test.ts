import { describe, expect, jest, test } from '@jest/globals'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identityModel } from '../test/fixtures/onnx.ts'
import { runCommand } from '../test/fixtures/runtime.ts'

jest.setTimeout(60_000)

describe('the other commands', () => {
  test('inspect tells the digest and the signature', async () => {
    const model = identityModel('FLOAT', ['n', 3])
    const command = runCommand('inspect', {}, model)
    expect(await command.finished).toEqual({ code: 0, signal: null })
    expect(command.termination()).toEqual({
      ok: true,
      digest: `sha256:${createHash('sha256').update(model).digest('hex')}`,
      sizeBytes: model.length,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
    })
  })

  test('ONNX Runtime counts, keeps and sends nothing of what is run', async () => {
    const home = mkdtempSync(join(tmpdir(), 'slipway-home-'))
    // On a machine of CI it keeps quiet by itself.
    const command = runCommand('inspect', { HOME: home, CI: '', ORT_DISABLE_TELEMETRY: '' }, identityModel('FLOAT'))
    expect(await command.finished).toEqual({ code: 0, signal: null })
    expect(readdirSync(home)).toEqual([])
    rmSync(home, { recursive: true })
  })

  test('a bad configuration ends with 64 and says what to write', async () => {
    const command = runCommand('fetch', { SLIPWAY_MODEL_URI: 'http://127.0.0.1:1/x' })
    expect(await command.finished).toEqual({ code: 64, signal: null })
    expect(command.termination()).toMatchObject({
      code: 'BadConfiguration',
      message: expect.stringContaining('SLIPWAY_MODEL_DIGEST'),
    })
  })

  test('an unknown command ends with 64', async () => {
    expect(await runCommand('dance', {}).finished).toEqual({ code: 64, signal: null })
  })

  test('a failure nobody foresaw is in the termination message too', async () => {
    const command = runCommand('resolve', {
      SLIPWAY_MODEL_URI: 'http://127.0.0.1:1/x',
      SLIPWAY_MODEL_FILE: '/proc/none/model.onnx',
    })
    expect(await command.finished).toEqual({ code: 1, signal: null })
    expect(command.termination()).toMatchObject({
      ok: false,
      code: 'Internal',
      message: expect.stringContaining('/proc/none/model.onnx'),
    })
  })
})
