// Loaded before an operator (node --import): its wall clock jumps by the next of SLIPWAY_TEST_CLOCK_JUMPS, milliseconds
// separated by commas, each time that the process gets SIGUSR2. The monotonic clock goes on, as it does on a real machine.

const jumps = (process.env['SLIPWAY_TEST_CLOCK_JUMPS'] ?? '').split(',').map(Number)
const RealDate = Date
let offsetMs = 0

class JumpingDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    if (given.length === 0) super(RealDate.now() + offsetMs)
    else super(...(given as [number]))
  }

  static override now(): number {
    return RealDate.now() + offsetMs
  }
}

globalThis.Date = JumpingDate as DateConstructor

process.on('SIGUSR2', () => {
  offsetMs += jumps.shift() ?? 0
  console.log(JSON.stringify({ 'log.level': 'info', message: `the clock jumped to ${new Date().toISOString()}` }))
})
