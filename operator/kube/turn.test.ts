import { expect, test } from '@jest/globals'
import { Loop, Turn } from './turn.ts'

const spin = (ms: number): void => {
  for (const end = performance.now() + ms; performance.now() < end;) Math.sqrt(end)
}

test('a turn is over after a while, and the next one begins when the loop has turned', async () => {
  const turn = new Turn(new Loop())
  expect(turn.isOver).toBe(false)
  spin(15)
  expect(turn.isOver).toBe(true)
  await turn.next()
  expect(turn.isOver).toBe(false)
})

test('the time between two pieces of work does not count: the loop turned', async () => {
  const turn = new Turn(new Loop())
  expect(turn.isOver).toBe(false)
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(turn.isOver).toBe(false)
})

test('work that never waits for anything lets timers fire', async () => {
  const turn = new Turn(new Loop())
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
  const loop = new Loop()
  expect(loop.isOver).toBe(false)
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns += 1
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const went: { readonly who: string; readonly at: number }[] = []
  const work = async (who: string): Promise<void> => {
    const turn = new Turn(loop)
    for (let n = 0; n < 3; n += 1) {
      spin(12)
      if (turn.isOver) await turn.next() // oxlint-disable-line no-await-in-loop -- one piece after the other
      went.push({ who, at: turns })
    }
  }
  await Promise.all(['a', 'b', 'c'].map(work))
  isDone = true
  expect(went.map(({ who }) => who).join('')).toBe('abcabcabc')
  expect(new Set(went.map(({ at }) => at)).size).toBe(went.length)
})

test('ten workers of a controller are one in the line: who comes after them waits for one turn', async () => {
  const loop = new Loop()
  expect(loop.isOver).toBe(false)
  spin(12)
  const [controller, cache] = [new Turn(loop), new Turn(loop)]
  const went: string[] = []
  const workers = Array.from({ length: 10 }, (_, n) => controller.next().then(() => went.push(`worker ${n}`)))
  const watch = cache.next().then(() => went.push('watch'))
  const again = workers[0]?.then(() => controller.next()).then(() => went.push('workers again'))
  await Promise.all([...workers, watch, again])
  expect(went.indexOf('watch')).toBe(10)
  expect(went.at(-1)).toBe('workers again')
})
