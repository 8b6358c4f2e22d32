// What is measured, in parts that can be run alone. A part starts its servers once, measures them in rounds, and within a
// round one after another; who goes first changes from round to round.
import { availableParallelism } from 'node:os'
import { checkServer, contenders, start, type ContenderName, type Started } from './contenders.ts'
import { directAnswers } from './expected.ts'
import { inWords, measure, measureRaw, openConnections, type Loading, type Sample } from './measure.ts'
import { models, type Model, type ModelName } from './models.ts'
import { cpuQuota } from './processes.ts'
import { forms } from './requests.ts'
import type { Serving } from './server.ts'

export interface World {
  readonly quick: boolean
  readonly rounds: number
  /** Who takes part, ours included. */
  readonly chosen: readonly ContenderName[]
  /** Where generated models go. */
  readonly folder: string
  readonly report: (line: string) => void
  readonly samples: Sample[]
  /** Why a contender is not there. */
  readonly missing: Record<string, string>
}

const cores = availableParallelism()

interface Subject {
  readonly name: string
  readonly contender: ContenderName
  readonly serving: Partial<Serving>
}

type Planned = Omit<Loading, 'part' | 'subject' | 'round' | 'warmMs'>

/** Servers of one part, all started; those that cannot be are told. */
class Field {
  readonly #world: World
  readonly #part: string
  readonly serving: Serving
  readonly servers = new Map<string, Started>()

  private constructor(world: World, part: string, serving: Serving) {
    this.#world = world
    this.#part = part
    this.serving = serving
  }

  static async of(
    world: World,
    part: string,
    name: ModelName,
    subjects: readonly Subject[],
    threads: Serving['threads'],
    work: (field: Field) => Promise<void>,
  ): Promise<void> {
    const model: Model = models[name]()
    const file = await model.file(world.folder)
    const expected = await directAnswers(file, model)
    const field = new Field(world, part, { model, name, file, expected, threads })
    try {
      for (const { name: subject, contender, serving } of subjects) {
        if (!world.chosen.includes(contender)) continue
        world.report(`${part}: starting ${subject}`)
        // oxlint-disable-next-line no-await-in-loop -- together they would be slow and time out
        await field.#start(subject, contender, { ...field.serving, ...serving })
      }
      await work(field)
    } finally {
      await Promise.all([...field.servers.values()].map((server) => server.stop()))
    }
  }

  async #start(subject: string, contender: ContenderName, serving: Serving): Promise<void> {
    try {
      const server = await start(contender, serving)
      this.servers.set(subject, server)
      for (const form of server.forms) await checkServer(server, serving, form) // oxlint-disable-line no-await-in-loop
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      this.#world.missing[subject] = words.split('\n')[0] ?? words
      this.#world.report(`${subject} is left out: ${words}`)
      await this.servers.get(subject)?.stop()
      this.servers.delete(subject)
    }
  }

  async one(subject: string, round: number, planned: Planned): Promise<Sample | undefined> {
    const server = this.servers.get(subject)
    if (server === undefined || !server.forms.includes(planned.form)) return undefined
    return this.keep(
      await measure(server, this.serving, {
        part: this.#part,
        subject,
        round,
        // Compilers of a server that has just started are still at it.
        warmMs: round === 0 ? 1000 : 300,
        ...planned,
      }),
    )
  }

  async raw(round: number, sessions: number, forMs: number): Promise<void> {
    this.keep(await measureRaw(this.serving, { part: this.#part, round, sessions, threads: 1, forMs }))
  }

  keep(sample: Sample): Sample {
    this.#world.samples.push(sample)
    this.#world.report(`${this.#part} ${sample.round + 1}/${this.#world.rounds}: ${inWords(sample)}`)
    return sample
  }

  /** Everybody, in the order of this round. */
  order(round: number): readonly string[] {
    const names = [...this.servers.keys()]
    const from = round % Math.max(1, names.length)
    return [...names.slice(from), ...names.slice(0, from)]
  }
}

const everybody = (...names: readonly ContenderName[]): readonly Subject[] =>
  names.map((name) => ({ name, contender: name, serving: {} }))
const allContenders = Object.keys(contenders) as ContenderName[]
/** Those that compute. */
const servers = allContenders.filter((name) => name !== 'bare')

/* oxlint-disable no-await-in-loop -- measurements come one after another, or they would disturb each other */

/** A model that costs next to nothing: what is left is the server. */
const tiny = (world: World): Promise<void> =>
  Field.of(world, 'tiny', 'tiny', everybody(...allContenders), 1, async (field) => {
    const ms = world.quick ? 700 : 1000
    for (let round = 0; round < world.rounds; round += 1) {
      await field.raw(round, 1, ms / 2)
      for (const subject of field.order(round)) {
        await field.one(subject, round, { form: 'json', connections: 32, forMs: ms })
        await field.one(subject, round, { form: 'json', connections: 16, forMs: ms / 2 })
        await field.one(subject, round, { form: 'json', connections: 1, forMs: ms / 2 })
        await field.one(subject, round, { form: 'binary', connections: 32, forMs: ms })
        await field.one(subject, round, { form: 'binary', connections: 1, forMs: ms / 2 })
        await field.one(subject, round, { form: 'grpc', connections: 32, forMs: ms })
      }
    }
  })

/** 602 KB a request and some 10 ms of work. */
const image = (world: World): Promise<void> =>
  Field.of(world, 'image', 'cnn', everybody('slipway', 'express', 'kserve', 'triton'), 'default', async (field) => {
    const ms = world.quick ? 1500 : 2000
    for (let round = 0; round < world.rounds; round += 1) {
      await field.raw(round, 1, ms / 2)
      if (cores > 1) await field.raw(round, cores, ms / 2)
      for (const subject of field.order(round)) {
        await field.one(subject, round, { form: 'json', connections: 16, forMs: ms })
        await field.one(subject, round, { form: 'binary', connections: 16, forMs: ms })
        await field.one(subject, round, { form: 'binary', connections: 1, forMs: ms / 2 })
      }
    }
  })

/** 100 MB of weights, which one run reads once for all requests that share it. */
const batching = (world: World): Promise<void> => {
  const single = { environment: { SLIPWAY_BATCH_MAX_SIZE: '1' } }
  const subjects: readonly Subject[] = [
    { name: 'slipway', contender: 'slipway', serving: {} },
    { name: 'slipway single', contender: 'slipway', serving: single },
  ]
  return Field.of(world, 'batching', 'large', subjects, 'default', async (field) => {
    for (let round = 0; round < world.rounds; round += 1)
      for (const subject of field.order(round))
        await field.one(subject, round, { form: 'binary', connections: 32, forMs: world.quick ? 1500 : 2000 })
  })
}

/** Under a CPU quota, beside a server that leaves the threads to ONNX Runtime. */
async function quota(world: World): Promise<void> {
  for (const cpus of [1, 1.5]) {
    const name = `slipway-bench-${process.pid}-${cpus}`
    let limit: ReturnType<typeof cpuQuota>
    try {
      limit = cpuQuota(name, cpus)
    } catch (error) {
      world.missing['defaults'] = `no control group can be made here: ${String(error)}`
      world.report(world.missing['defaults'])
      return
    }
    const load = `${cpus} CPU`
    try {
      const subjects = everybody('slipway', 'express').map((each) => ({ ...each, serving: { quota: limit } }))
      await Field.of(world, 'quota', 'cnn', subjects, 'default', async (field) => {
        for (let round = 0; round < world.rounds; round += 1)
          for (const subject of field.order(round))
            for (const connections of [1, 16])
              await field.one(subject, round, { form: 'binary', connections, load, forMs: world.quick ? 1500 : 1800 })
      })
    } finally {
      limit.remove()
    }
  }
}

/** 602 KB that the model does not look at, beside a Python server of the same protocol. */
const floor = (world: World): Promise<void> =>
  Field.of(world, 'floor', 'shrink', everybody('slipway', 'kserve', 'triton', 'express'), 1, async (field) => {
    for (let round = 0; round < world.rounds; round += 1)
      for (const subject of field.order(round))
        await field.one(subject, round, { form: 'binary', connections: 4, forMs: world.quick ? 1000 : 1200 })
  })

/** Arrivals as users come: at random. Each peer and we get the same ones, at shares of the slower one's capacity. */
const poisson = (world: World): Promise<void> =>
  Field.of(world, 'poisson', 'tiny', everybody(...servers), 1, async (field) => {
    const forMs = world.quick ? 1000 : 1200
    const capacities = new Map<string, number>()
    for (const subject of field.servers.keys()) {
      const sample = await field.one(subject, 0, { form: 'json', connections: 16, forMs, load: 'capacity' })
      capacities.set(subject, sample?.rps ?? 0)
    }
    const open = (subject: string, round: number, perSecond: number, load: string): Promise<unknown> =>
      field.one(subject, round, { form: 'json', connections: openConnections, perSecond, load, forMs })
    for (let round = 0; round < world.rounds; round += 1) {
      for (const subject of field.order(round)) {
        const own = capacities.get(subject) ?? 0
        if (round === 0) {
          for (const share of [0.5, 0.95]) await open(subject, round, own * share, `${share * 100} % of its own`)
        }
        if (subject === 'slipway') continue
        const perSecond = 0.8 * Math.min(own, capacities.get('slipway') ?? own)
        const load = `80 % of ${subject}`
        const both = round % 2 === 0 ? [subject, 'slipway'] : ['slipway', subject]
        for (const each of both) await open(each, round, perSecond, load)
      }
    }
  })

/** A real model that is asked many times a second by each who speaks: 5 KB of JSON, three inputs, a fifth of a millisecond. */
const speech = (world: World): Promise<void> => {
  // Triton's models have no inputs without dimensions, so it would be asked something else.
  const subjects = everybody(...servers.filter((name) => name !== 'triton'))
  return Field.of(world, 'speech', 'silero', subjects, 1, async (field) => {
    const ms = world.quick ? 700 : 1000
    for (let round = 0; round < world.rounds; round += 1) {
      await field.raw(round, 1, ms / 2)
      for (const subject of field.order(round))
        for (const form of forms)
          for (const connections of [16, 1])
            await field.one(subject, round, { form, connections, forMs: connections === 1 ? ms / 2 : ms })
    }
  })
}

/** A real model whose requests have varying width, and answers that are larger than they. */
const ocr = (world: World): Promise<void> =>
  Field.of(
    world,
    'ocr',
    'ppocr',
    everybody('slipway', 'express', 'fastapi', 'mlserver', 'kserve', 'triton'),
    'default',
    async (field) => {
      const ms = world.quick ? 1500 : 2500
      for (let round = 0; round < world.rounds; round += 1) {
        await field.raw(round, 1, ms / 2)
        if (cores > 1) await field.raw(round, cores, ms / 2)
        for (const subject of field.order(round))
          for (const form of forms) await field.one(subject, round, { form, connections: 8, forMs: ms })
      }
    },
  )

/* oxlint-enable no-await-in-loop */

export const parts = { tiny, image, batching, quota, floor, poisson, speech, ocr } as const
export type PartName = keyof typeof parts
