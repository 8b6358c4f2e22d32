// What one run measures, phase by phase. Each phase can run by itself, so that a slow machine may take them one by one.
import { changesDuringRestart, churn, coldStart, failover, faultRecovery, resyncs, type ColdStart } from './measure.ts'
import type { Children } from './children.ts'
import { start, type Program } from './subject.ts'
import type { World } from './world.ts'

export const phaseNames = ['start', 'resync', 'changes', 'restart', 'failover', 'faults'] as const
export type PhaseName = (typeof phaseNames)[number]

export interface Bench {
  readonly ours: Program
  /** Undefined where it could not be built. */
  readonly theirs: Program | undefined
  readonly world: World
  readonly children: Children
  readonly quick: boolean
  readonly faultSeconds: number
  readonly report: (line: string) => void
}

/** Raw samples, by phase; what was not measured is not there. */
export interface Samples {
  readonly start?: { readonly slipway: readonly ColdStart[]; readonly peer: readonly ColdStart[] }
  readonly resync?: { readonly slipway: Resynced; readonly peer?: Resynced }
  /** Milliseconds until a changed child was seen, by program. */
  readonly changes?: { readonly slipway: readonly number[]; readonly peer?: readonly number[] }
  /** Milliseconds until a changed child was seen, by program and restart. */
  readonly restart?: { readonly slipway: readonly (readonly number[])[]; readonly peer: readonly (readonly number[])[] }
  /** Seconds. */
  readonly failover?: { readonly clean: readonly number[]; readonly killed: readonly number[] }
  readonly faults?: { readonly seconds: number; readonly recovered: Readonly<Record<string, number>> }
}

export type Resynced = Awaited<ReturnType<typeof resyncs>>

export const phases: { readonly [Name in PhaseName]: (bench: Bench) => Promise<NonNullable<Samples[Name]>> } = {
  start: async ({ ours, theirs, world, quick, report }) => {
    const [slipway, peer]: [ColdStart[], ColdStart[]] = [[], []]
    const [pairs, settleMs] = quick ? [2, 2000] : [5, 10_000]
    for (let pair = 1; pair <= pairs; pair += 1) {
      report(`cold start ${pair} of ${pairs}`)
      slipway.push(await coldStart(ours, world, settleMs))
      if (theirs !== undefined) peer.push(await coldStart(theirs, world, settleMs))
    }
    return { slipway, peer }
  },
  resync: async ({ ours, theirs, world, quick, report }) => {
    report('ten resyncs with nothing to do')
    const slipway = await resyncs(ours, world, quick ? 3 : 10)
    if (theirs === undefined) return { slipway }
    return { slipway, peer: await resyncs(theirs, world, quick ? 1 : 3) }
  },
  changes: async ({ ours, theirs, world, children, quick, report }) => {
    report('changes at 20 a second')
    const changesOf = async (program: Program): Promise<number[]> => {
      const { plane, namespace, names } = world
      const subject = await start(program, { kubeconfig: plane.kubeconfig, namespace, resyncSeconds: 600 })
      try {
        await subject.leading()
        await subject.reconciled(names.length)
        return await churn(world, children, 20, quick ? 5 : 30)
      } finally {
        await subject.stop()
      }
    }
    const slipway = await changesOf(ours)
    return theirs === undefined ? { slipway } : { slipway, peer: await changesOf(theirs) }
  },
  restart: async ({ ours, theirs, world, children, quick, report }) => {
    const [slipway, peer]: [number[][], number[][]] = [[], []]
    const restarts = quick ? 1 : 3
    for (let n = 1; n <= restarts; n += 1) {
      report(`changes during a restart ${n} of ${restarts}`)
      for (const [program, took] of [
        [ours, slipway],
        [theirs, peer],
      ] as const) {
        if (program === undefined) continue
        // What the other program changed is no part of it: models have more children with ours, which it must make up for.
        await coldStart(program, world, 2000)
        took.push(await changesDuringRestart(program, world, children))
      }
    }
    return { slipway, peer }
  },
  failover: async ({ ours, world, quick, report }) => {
    report('failover')
    const [clean, killed]: [number[], number[]] = [[], []]
    for (let n = 0; n < (quick ? 1 : 3); n += 1) clean.push(await failover(ours, world, 'SIGTERM'))
    killed.push(await failover(ours, world, 'SIGKILL'))
    return { clean, killed }
  },
  faults: async ({ ours, world, children, faultSeconds, report }) => {
    report(`recovery after ${faultSeconds} s of 429, of 500, and of half-open connections`)
    return { seconds: faultSeconds, recovered: await faultRecovery(ours, world, children, faultSeconds, report) }
  },
}
