import { expect, test } from '@jest/globals'
import { readPlacement } from './placement.ts'

const read = (value: unknown) => readPlacement(JSON.stringify(value))

test('what is given is taken as it is, and what is empty is not set', () => {
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } }
  const given = {
    imagePullSecrets: [{ name: 'registry' }],
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ key: 'edge', operator: 'Exists' }],
    affinity,
    priorityClassName: 'high',
  }
  expect(read(given)).toEqual({ placement: given })
  expect(
    read({ imagePullSecrets: [], nodeSelector: {}, tolerations: [], affinity: {}, priorityClassName: '' }),
  ).toEqual({ placement: {} })
})

test.each([
  [{ imagePullSecrets: ['registry'] }, 'has imagePullSecrets[0] "registry"; it must be {"name": "<its name>"}'],
  [{ imagePullSecrets: [{ name: '' }] }, 'has imagePullSecrets[0] {"name":""}; it must be {"name": "<its name>"}'],
  [{ nodeSelector: { disk: 1 } }, 'has nodeSelector.disk 1; it must be a string'],
  [{ nodeSelector: ['disk'] }, 'has nodeSelector ["disk"]; it must be an object'],
  [{ tolerations: { key: 'edge' } }, 'has tolerations {"key":"edge"}; it must be a list'],
  [{ tolerations: [null] }, 'has tolerations[0] null; it must be an object'],
  [{ affinity: 'close' }, 'has affinity "close"; it must be an object'],
  [{ priorityClassName: 3 }, 'has priorityClassName 3; it must be a string'],
  [
    { nodeName: 'a' },
    'has nodeName; it may have imagePullSecrets, nodeSelector, tolerations, affinity, priorityClassName',
  ],
  [[], 'is []; it must be a JSON object'],
])('%j is refused by its field', (value, problem) => {
  expect(read(value)).toEqual({ problems: [problem] })
})

test('text that is no JSON is refused, and several problems are told at once', () => {
  expect(readPlacement('disk=ssd')).toEqual({ problems: ['is disk=ssd; it must be a JSON object'] })
  expect(read({ affinity: 1, priorityClassName: 2 })).toEqual({
    problems: [expect.stringContaining('affinity 1'), expect.stringContaining('priorityClassName 2')],
  })
})
