// The short form of `npm run soak`: changes and faults for three minutes, and nothing that is held on to.
import { expect, test } from '@jest/globals'
import { soak } from '../scale/soak.ts'
import { inWords, judge } from '../scale/verdict.ts'
import { firstSeed } from './length.ts'

const before = { ...process.env }

const seconds = 180

test('after three minutes of changes and faults all changes are done, and nothing has grown: no socket, timer, file or memory', async () => {
  const seed = firstSeed
  process.stderr.write(`  SLIPWAY_FAULT_SEED=${seed}\n`)
  try {
    const soaked = await soak({ seconds, models: 200, perSecond: 20, seed, report: () => {} })
    const figures = judge(soaked, { seconds, leastPerSecond: 2 })
    process.stderr.write(`${inWords(figures).replaceAll(/^/gm, '  ')}\n`)
    expect(figures.flatMap(({ failure }) => failure ?? [])).toEqual([])
  } finally {
    // The world has an API server of its own; what comes after this wants the shared one.
    process.env['SLIPWAY_TEST_KUBECONFIG'] = before['SLIPWAY_TEST_KUBECONFIG']
    process.env['SLIPWAY_TEST_AUDIT_LOG'] = before['SLIPWAY_TEST_AUDIT_LOG']
  }
}, 600_000)
