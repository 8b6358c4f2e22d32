// The short form of `npm run soak`: changes and faults for less than a minute, and nothing that is held on to.
import { expect, test } from '@jest/globals'
import { soak } from '../scale/soak.ts'
import { firstSeed } from './length.ts'

const before = { ...process.env }

test('after a minute of changes and faults all changes are done, and no socket, timer or file is left over', async () => {
  const seed = firstSeed
  process.stderr.write(`  SLIPWAY_FAULT_SEED=${seed}\n`)
  try {
    const { changes, samples, ended } = await soak({ seconds: 40, models: 60, perSecond: 10, seed, report: () => {} })
    expect(ended).toBeUndefined()
    expect(changes).toBeGreaterThan(300)
    const last = samples.at(-1)
    process.stderr.write(
      `  ${changes} changes, ${Math.round(last?.rssMib ?? 0)} MiB, ${JSON.stringify(last?.resources)}\n`,
    )
    // Sixteen connections for calls and one for each of six watches, the two servers, and our own scrape.
    const { TCPSocketWrap = 0, Timeout = 0, files = 0 } = last?.resources ?? {}
    expect(TCPSocketWrap).toBeLessThanOrEqual(30)
    expect(Timeout).toBeLessThanOrEqual(60)
    expect(files).toBeLessThanOrEqual(80)
  } finally {
    // The world has an API server of its own; what comes after this wants the shared one.
    process.env['SLIPWAY_TEST_KUBECONFIG'] = before['SLIPWAY_TEST_KUBECONFIG']
    process.env['SLIPWAY_TEST_AUDIT_LOG'] = before['SLIPWAY_TEST_AUDIT_LOG']
  }
}, 240_000)
