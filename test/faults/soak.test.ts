// The short form of `npm run soak`: changes and faults for three minutes, and nothing that is held on to.
import { expect, test } from '@jest/globals'
import { soak, type Sample } from '../scale/soak.ts'
import { firstSeed } from './length.ts'

const before = { ...process.env }

const seconds = 180

test('after three minutes of changes and faults all changes are done, and nothing has grown: no socket, timer, file or memory', async () => {
  const seed = firstSeed
  process.stderr.write(`  SLIPWAY_FAULT_SEED=${seed}\n`)
  try {
    const { changes, samples, ended } = await soak({ seconds, models: 200, perSecond: 20, seed, report: () => {} })
    expect(ended).toBeUndefined()
    expect(changes).toBeGreaterThan(seconds * 2)
    // The first minute fills caches, pools and the compiler's memory; what is held afterwards is held for good.
    const warm = samples.filter(({ at }) => at > 60 && at <= 90)
    const late = samples.filter(({ at }) => at > seconds - 30)
    const [before, after] = [meanMib(warm), meanMib(late)]
    const last = samples.at(-1)
    process.stderr.write(
      `  ${changes} changes, ${Math.round(before)} MiB after a minute, ${Math.round(after)} MiB after three, ${JSON.stringify(last?.resources)}\n`,
    )
    expect(after).toBeLessThan(1.2 * before)
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
}, 600_000)

const meanMib = (samples: readonly Sample[]): number =>
  samples.reduce((sum, { rssMib }) => sum + rssMib, 0) / samples.length
