import { expect, test } from '@jest/globals'
import { withNodeLoss } from './tolerations.ts'

const loss = (key: string, tolerationSeconds: number) => ({
  key: `node.kubernetes.io/${key}`,
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds,
})

test('pods of a lost node leave it soon, whatever else they tolerate', () => {
  const gpu = { key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }
  expect(withNodeLoss(undefined, 30)).toEqual([loss('not-ready', 30), loss('unreachable', 30)])
  expect(withNodeLoss([gpu], 30)).toEqual([gpu, loss('not-ready', 30), loss('unreachable', 30)])
})

test('whoever says how long his pods stay is obeyed', () => {
  expect(withNodeLoss([loss('not-ready', 600)], 30)).toEqual([loss('not-ready', 600), loss('unreachable', 30)])
  expect(withNodeLoss([{ operator: 'Exists' }], 30)).toEqual([{ operator: 'Exists' }])
})
