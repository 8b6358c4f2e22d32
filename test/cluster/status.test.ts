import { expect, test } from '@jest/globals'
import { formatMs } from './report.ts'
import { renderTable } from './status.ts'

test('durations are written for people', () => {
  expect([400, 9999, 12_400, 200_000].map(formatMs)).toEqual(['0.4 s', '10.0 s', '12 s', '3 min 20 s'])
})

test('status is a table with a row for each node', () => {
  const node = { name: 'node-1', address: '10.250.0.2', condition: 'Ready', link: 'slipway0n1' }
  const table = renderTable([
    {
      name: 'default',
      kind: 'nodes',
      kubernetesVersion: '1.2.3',
      condition: 'up',
      server: 'https://s',
      dir: '/d',
      kubeconfig: '/d/kubeconfig',
      nodes: [node],
      processes: [],
    },
  ])
  expect(table).toMatch(/default +1\.2\.3 +https:\/\/s +up\n {2}node-1 +10\.250\.0\.2 +Ready\n/)
  expect(renderTable([])).toContain('cluster -- up')
})
