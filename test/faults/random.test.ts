// Faults of any kind at any time, by seed, while versions come and go; afterwards all is as if nothing had been.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { leading, type OperatorProcess } from '../integration/operator/process.ts'
import { revisionOf } from '../integration/operator/stage.ts'
import { pick, seeded } from '../proxy/random.ts'
import { randomEpisodes } from '../proxy/schedule.ts'
import { firstSeed, randomMs, randomRuns, testMs } from './length.ts'
import { openScene, specOf, type Scene } from './scene.ts'

jest.setTimeout(testMs)

let scene: Scene
let operator: OperatorProcess
const names = ['a', 'b', 'c', 'd'] as const
const wanted = new Map<string, string>()

beforeAll(async () => {
  scene = await openScene(firstSeed)
  operator = await scene.start()
  await leading(operator)
})

afterAll(() => scene.close())

test.each(Array.from({ length: randomRuns }, (_, run) => [firstSeed + run]))(
  'random faults of seed %i, then none: every object is at its last version, by the same process',
  async (seed) => {
    const { stage, proxy } = scene
    const random = seeded(seed)
    const episodes = randomEpisodes(seed, randomMs)
    process.stderr.write(`  SLIPWAY_FAULT_SEED=${seed}: ${episodes.map(({ name }) => name).join(', ')}\n`)
    const faults = [...new Set(episodes.flatMap(({ rules }) => rules.map(({ fault }) => fault.fault)))]
    const begun = (): number[] => faults.map((fault) => proxy.begun(fault))
    const before = begun()
    const startedAt = performance.now()
    const untilMs = (ms: number): Promise<void> => sleep(Math.max(0, startedAt + ms - performance.now()))
    const playing = episodes.map(async ({ atMs, forMs, rules, cuts }) => {
      await untilMs(atMs)
      const ends = rules.map((rule) => proxy.play(rule))
      if (cuts) proxy.cut()
      await untilMs(atMs + forMs)
      for (const end of ends) end()
    })
    for (let n = 0; performance.now() - startedAt < randomMs; n += 1) {
      const name = pick(random, names)
      wanted.set(name, `${seed}-${n}`)
      await stage.apply(name, specOf(`${seed}-${n}`))
      await sleep(200 + 1300 * random())
    }
    await Promise.all(playing)
    proxy.heal()
    const played = begun().map((count, at) => count - (before[at] ?? 0))
    process.stderr.write(`  ${faults.map((fault, at) => `${fault} ${played[at]} times`).join(', ')}\n`)
    // Not every episode meets a request or an event, but a run that meets none proves nothing.
    expect(Math.max(...played)).toBeGreaterThan(0)
    const healedAt = performance.now()
    for (const [name, model] of wanted) {
      const { status } = await stage.ready(name)
      expect(status?.stable?.revision).toBe(revisionOf(name, specOf(model)))
      expect((await stage.children(name)).serving).toBe(revisionOf(name, specOf(model)))
      expect(status?.rejected ?? []).toEqual([])
    }
    process.stderr.write(`  converged ${Math.round(performance.now() - healedAt)} ms after the last fault\n`)
    expect(operator.ended()).toBeUndefined()
  },
)
