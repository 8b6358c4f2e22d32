import { expect, test } from '@jest/globals'
import { addModel, loopModel, lowerModel, mlpModel, onnxModel } from '../../test/fixtures/onnx.ts'
import { operatorByValue } from './steady.ts'

const bytes = (model: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(model)

test.each([
  ['a classifier', mlpModel(), undefined],
  ['a sum', addModel(), undefined],
  ['a text model', lowerModel(), undefined],
  ['a loop', loopModel(), 'Loop'],
  [
    'an output as long as a number says',
    onnxModel({
      nodes: [{ op: 'Range', inputs: ['from', 'to', 'step'], outputs: ['y'] }],
      inputs: ['from', 'to', 'step'].map((name) => ({ name, type: 'INT64', shape: [] })),
      outputs: [{ name: 'y', type: 'INT64', shape: ['n'] }],
    }),
    'Range',
  ],
  ['a function of the model', Buffer.concat([mlpModel(), Buffer.from([0xca, 0x01, 0x00])]), 'a function of its own'],
])('%s: the operator whose time depends on values is found', (_, model, expected) => {
  expect(operatorByValue(bytes(model))).toBe(expected)
})

test('what is no model is refused', () => {
  expect(() => operatorByValue(Uint8Array.of(0x3a, 0x7f, 1))).toThrow('goes past the end')
})
