import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { ModelContract } from '../api/modelrevision.ts'
import { contractDifference } from './contract.ts'

const base: ModelContract = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 3] }],
}

const changed = (change: (c: ModelContract) => void): ModelContract => {
  const copy = structuredClone(base)
  change(copy)
  return copy
}

test.each<[string, (c: ModelContract) => void, string | undefined]>([
  ['the same contract', () => {}, undefined],
  ['a new output', (c) => void c.outputs.push({ name: 'z', datatype: 'INT64', shape: [1] }), undefined],
  ['an input that takes more', (c) => void (c.inputs[0] = { name: 'x', datatype: 'FP32', shape: [-1, -1] }), undefined],
  [
    'an input that takes less',
    (c) => void (c.inputs[0] = { name: 'x', datatype: 'FP32', shape: [1, 4] }),
    'input x changed its shape from [-1, 4] to [1, 4]',
  ],
  [
    'another rank',
    (c) => void (c.inputs[0] = { name: 'x', datatype: 'FP32', shape: [-1, 4, 1] }),
    'input x changed its shape',
  ],
  [
    'another input type',
    (c) => void (c.inputs[0] = { name: 'x', datatype: 'FP16', shape: [-1, 4] }),
    'input x changed from FP32 to FP16',
  ],
  ['an input that is gone', (c) => void c.inputs.pop(), 'input x (FP32 [-1, 4]) is gone'],
  [
    'an input that is new',
    (c) => void c.inputs.push({ name: 'w', datatype: 'FP32', shape: [1] }),
    'input w (FP32 [1]) is new',
  ],
  ['an output that is gone', (c) => void c.outputs.pop(), 'output y (FP32 [-1, 3]) is gone'],
  [
    'an output of another type',
    (c) => void (c.outputs[0] = { name: 'y', datatype: 'FP64', shape: [-1, 3] }),
    'output y changed from FP32 to FP64',
  ],
  [
    'an output of another width',
    (c) => void (c.outputs[0] = { name: 'y', datatype: 'FP32', shape: [-1, 2] }),
    'output y changed its shape',
  ],
])('%s', (_, change, expected) => {
  const difference = contractDifference(base, changed(change))
  if (expected === undefined) expect(difference).toBeUndefined()
  else expect(difference).toContain(expected)
})

test('a contract never differs from itself, and what two steps allow, one step allows', () => {
  const tensor = fc.record({
    name: fc.constantFrom('a', 'b'),
    datatype: fc.constantFrom('FP32', 'INT64'),
    shape: fc.array(fc.constantFrom(-1, 1, 2), { maxLength: 2 }),
  })
  const tensors = fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 2 })
  const contract = fc.record({ inputs: tensors, outputs: tensors })
  fc.assert(
    fc.property(contract, contract, contract, (a, b, c) => {
      expect(contractDifference(a, a)).toBeUndefined()
      if (contractDifference(a, b) === undefined && contractDifference(b, c) === undefined) {
        expect(contractDifference(a, c)).toBeUndefined()
      }
    }),
    { numRuns: 2000 },
  )
})
