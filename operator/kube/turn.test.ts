import { expect, test } from '@jest/globals'
import { Turn } from './turn.ts'

const spin = (ms: number): void => {
  for (const end = performance.now() + ms; performance.now() < end;) Math.sqrt(end)
}

test('a turn is over after a while, and the next one begins when the loop has turned', async () => {
  const turn = new Turn()
  expect(turn.isOver).toBe(false)
  spin(15)
  expect(turn.isOver).toBe(true)
  await turn.next()
  expect(turn.isOver).toBe(false)
})

test('the time between two pieces of work does not count: the loop turned', async () => {
  const turn = new Turn()
  expect(turn.isOver).toBe(false)
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(turn.isOver).toBe(false)
})

test('work that never waits for anything lets timers fire', async () => {
  const turn = new Turn()
  let fired = 0
  const timer = setInterval(() => (fired += 1), 1)
  for (let n = 0; n < 10; n += 1) {
    spin(12)
    if (turn.isOver) await turn.next() // oxlint-disable-line no-await-in-loop -- one piece after the other
  }
  clearInterval(timer)
  expect(fired).toBeGreaterThanOrEqual(4)
})

test('of many that have work, one goes on in each turn, in the order in which they came', async () => {
  const turn = new Turn()
  expect(turn.isOver).toBe(false)
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns += 1
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const went: [who: string, turn: number][] = []
  const worker = async (who: string): Promise<void> => {
    for (let n = 0; n < 3; n += 1) {
      spin(12)
      if (turn.isOver) await turn.next()
      went.push([who, turns])
    }
  }
  await Promise.all(['a', 'b', 'c'].map(worker))
  isDone = true
  expect(went.map(([who]) => who).join('')).toBe('abcabcabc')
  const inTurns = went.map(([, at]) => at)
  expect(new Set(inTurns).size).toBe(went.length)
})
