// plan and Known against a model of Envoy. (The real one is in test/integration/router.)
import fc from 'fast-check'
import { describe, expect, test } from '@jest/globals'
import { endpoints, setting } from '../fixtures.ts'
import type { Endpoints, Setting } from '../model.ts'
import { renderModel, type RenderedModel } from '../xds/render.ts'
import { keyOfChange } from './known.ts'
import { SimulatedAgent, SimulatedEnvoy } from './simulation.ts'

const options = { listenAddress: '::' }
const none: Endpoints = new Map()
const variants: readonly (readonly [Setting, Endpoints])[] = [
  [setting, endpoints],
  [{ ...setting, epoch: 8, revisions: setting.revisions.slice(0, 1).map((r) => ({ ...r, weight: 1000 })) }, endpoints],
  [{ ...setting, epoch: 9, mirror: { revision: 'fraud-bbbbbbbbbb', perMille: 100 } }, endpoints],
  [{ ...setting, epoch: 10 }, none],
]
const models = ['fraud', 'other', 'third'].map((name) => ({ name, uid: `${name}-uid`, port: 20_000 + name.length }))

type Command =
  | { readonly do: 'want'; readonly variant: readonly number[] }
  | { readonly do: 'envoy' | 'hear' | 'agent' }
  /** All three in turn, so many times: with enough of them everything is settled. */
  | { readonly do: 'rounds'; readonly rounds: number }
  | { readonly do: 'restartEnvoy' | 'restartAgent' }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('want' as const),
      variant: fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 3, maxLength: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('rounds' as const), rounds: fc.constantFrom(3, 20, 100) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constantFrom('envoy' as const, 'hear' as const, 'agent' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restartEnvoy' as const, 'restartAgent' as const) }) },
)

/** -1 is a model that is not there. */
const wantedOf = (variant: readonly number[]): RenderedModel[] =>
  models.flatMap((model, i) => {
    const [base, pods] = variants[variant[i] ?? -1] ?? []
    return base === undefined || pods === undefined
      ? []
      : [renderModel({ ...base, ...model, model: model.name }, pods, options)]
  })

const settle = (agent: SimulatedAgent, envoy: SimulatedEnvoy, wanted: readonly RenderedModel[]): boolean => {
  for (let i = 0; i < 1000; i += 1) {
    if (agent.step(wanted) && envoy.inbox.length === 0 && envoy.outbox.length === 0) return true
    envoy.turn()
    agent.hear()
  }
  return false
}

const carryOut = (
  next: Command,
  agent: SimulatedAgent,
  envoy: SimulatedEnvoy,
  wanted: readonly RenderedModel[],
): void => {
  expect(envoy.holes()).toEqual([])
  if (next.do === 'envoy') envoy.turn()
  else if (next.do === 'hear') agent.hear()
  else if (next.do === 'agent') agent.step(wanted)
  else if (next.do === 'rounds') {
    for (let i = 0; i < next.rounds; i += 1) {
      for (const one of ['agent', 'envoy', 'hear'] as const) carryOut({ do: one }, agent, envoy, wanted)
    }
  } else if (next.do === 'restartEnvoy') {
    envoy.restart()
    agent.meetAnew(true)
  } else if (next.do === 'restartAgent') {
    envoy.connect()
    agent.meetAnew(false)
  }
}

const onceQuiet = (agent: SimulatedAgent, wanted: readonly RenderedModel[]): void => {
  const before = agent.changes.length
  for (let i = 0; i < 10; i += 1) agent.step(wanted)
  expect(agent.changes.length).toBe(before)
}

describe('whatever is asked, in whatever order Envoy gets to it', () => {
  test('no user ever meets a route without its cluster, and in the end Envoy has exactly what is wanted', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40, size: 'max' }), (commands) => {
        const envoy = new SimulatedEnvoy(() => false)
        const agent = new SimulatedAgent(envoy)
        let wanted: readonly RenderedModel[] = []
        for (const next of commands) {
          if (next.do === 'want') wanted = wantedOf(next.variant)
          else carryOut(next, agent, envoy, wanted)
          expect(envoy.holes()).toEqual([])
        }
        expect(settle(agent, envoy, wanted)).toBe(true)
        const versions = (resources: readonly { name: string; version: string }[]) =>
          new Map(resources.map(({ name, version }) => [name, version]))
        expect(new Map([...envoy.routes].map(([name, { version }]) => [name, version]))).toEqual(
          versions(wanted.map(({ routes }) => routes)),
        )
        expect(envoy.serving).toEqual(versions(wanted.flatMap(({ clusters }) => clusters)))
        expect(envoy.listeners).toEqual(versions(wanted.map(({ listener }) => listener)))
        expect(envoy.warming.size).toBe(0)
        onceQuiet(agent, wanted)
      }),
      { numRuns: 200 },
    )
  })

  test.each([
    ['its cluster', '"name":"other/fraud-bbbbbbbbbb/http","type"'],
    ['its routes', '"name":"other","validate_clusters"'],
    ['its listener', '"name":"other","stat_prefix"'],
  ])('a model of which Envoy refuses %s holds up no other, and nothing is said for ever', (_, bad) => {
    const envoy = new SimulatedEnvoy((text) => text.includes(bad))
    const agent = new SimulatedAgent(envoy)
    const wanted = wantedOf([0, 0, 0])
    expect(settle(agent, envoy, wanted)).toBe(true)
    expect([...envoy.routes.keys()].filter((name) => name !== 'other')).toEqual(['fraud', 'third'])
    const refusals = wanted.flatMap(({ clusters, routes, listener }) =>
      [...clusters, routes, listener].flatMap((resource) => agent.known.refusal(resource) ?? []),
    )
    expect(refusals).toEqual(['it is bad'])
    onceQuiet(agent, wanted)
  })

  test('routes that are refused leave the ones before, and an Envoy that is started again gets those', () => {
    let bad = 'nothing'
    const envoy = new SimulatedEnvoy((text) => text.includes(bad))
    const agent = new SimulatedAgent(envoy)
    const [good] = [wantedOf([0, -1, -1])]
    expect(settle(agent, envoy, good)).toBe(true)
    const wanted = wantedOf([1, -1, -1])
    bad = wanted[0]?.routes.version ?? ''
    for (const again of [false, true]) {
      if (again) carryOut({ do: 'restartEnvoy' }, agent, envoy, wanted)
      expect(settle(agent, envoy, wanted)).toBe(true)
      onceQuiet(agent, wanted)
      expect(agent.known.refusal(wanted[0]?.routes ?? bug())).toBe('it is bad')
      if (!again) expect(envoy.routes.get('fraud')?.version).toBe(good[0]?.routes.version)
    }
  })

  test('pods of a cluster that loses its last one are taken out only after its share has moved', () => {
    const envoy = new SimulatedEnvoy(() => false)
    const agent = new SimulatedAgent(envoy)
    expect(settle(agent, envoy, [renderModel(setting, endpoints, options)])).toBe(true)
    const left = new Map([...endpoints].filter(([name]) => name !== 'fraud-bbbbbbbbbb'))
    const wanted = [renderModel({ ...setting }, left, options)]
    agent.changes.length = 0
    expect(settle(agent, envoy, wanted)).toBe(true)
    const keys = agent.changes.map(keyOfChange)
    expect(keys.indexOf('routes fraud')).toBeGreaterThan(-1)
    expect(keys.indexOf('routes fraud')).toBeLessThan(keys.indexOf('endpoints fraud/fraud-bbbbbbbbbb/http'))
    expect(keys).toContain('endpoints fraud/fraud-bbbbbbbbbb/grpc')
  })

  test('an agent that finds Envoy waiting for the pods of a model that nobody wants any more gets it to go on', () => {
    const envoy = new SimulatedEnvoy(() => false)
    const agent = new SimulatedAgent(envoy)
    for (const next of ['hear', 'hear', 'agent', 'envoy', 'envoy', 'envoy'] as const) {
      carryOut({ do: next }, agent, envoy, wantedOf([0, -1, -1]))
    }
    expect(envoy.warming.size).toBe(1)
    carryOut({ do: 'restartAgent' }, agent, envoy, [])
    expect(settle(agent, envoy, wantedOf([-1, 0, -1]))).toBe(true)
    expect([...envoy.listeners.keys()]).toEqual(['other'])
  })
})

const bug = (): never => {
  throw new Error('a model was rendered')
}
