/**
 * How many workers a model gets and how many threads each has: the plans that fit into the container's CPU limits, and
 * which of them was measured to be the best. Pure.
 * It must never leave the choice to ONNX Runtime, which counts the machine's cores and spins on them under a quota.
 */
import type { CpuLimits } from '../cgroup.ts'

export interface ThreadPlan {
  /** Inference workers, each with its own session. */
  readonly workers: number
  /** Threads inside one run of a session. */
  readonly intraOpThreads: number
}

/** One worker with one thread: where a GPU computes, or as a beginning. */
export const onePlan: ThreadPlan = { workers: 1, intraOpThreads: 1 }

/** A plan and how many rows a second its workers ran together. */
export interface MeasuredPlan extends ThreadPlan {
  readonly perSecond: number
}

/**
 * The plans to choose from, never empty. The first is the one to begin with, and
 * the second the one to take where nothing can be measured. `Auto` uses the whole cores of the quota,
 * at least one; a number is a wish to be fulfilled.
 */
export function planThreads({ cores, quota }: CpuLimits, setting: number | 'Auto'): readonly ThreadPlan[] {
  const usable = Math.min(cores, quota ?? cores)
  const plan = (workers: number, intraOpThreads: number): ThreadPlan => ({ workers, intraOpThreads })
  if (setting !== 'Auto') return [plan(1, setting)]
  const whole = Math.max(1, Math.floor(usable))
  if (whole === 1) return [plan(1, 1)]
  const halves = whole >= 4 ? [plan(2, whole >> 1)] : []
  return [plan(1, 1), plan(1, whole), ...halves, plan(Math.min(whole, maxWorkers), 1)]
}

/** More workers than this share one HTTP thread, which is then the limit. */
const maxWorkers = 8

/** Runs shorter than this, in milliseconds, leave the HTTP thread with most of the work: it needs the other cores. */
export const shortRunMs = 0.3

/** Of plans that are nearly as fast as the fastest, the first is taken. */
const nearly = 0.9

/**
 * The fastest plan, or one nearly as fast with fewer workers: each holds the model once more.
 * @param measured the plans that were tried, in the order of `planThreads`
 */
export function choosePlan(measured: readonly MeasuredPlan[]): MeasuredPlan {
  const best = Math.max(...measured.map(({ perSecond }) => perSecond))
  const chosen = measured.find(({ perSecond }) => perSecond >= best * nearly)
  if (chosen === undefined) throw new Error('no plan was measured')
  return chosen
}

/**
 * Which plans fit into the memory limit, all of them beside the one that is loaded already.
 * @param plans further plans
 * @returns those whose workers fit
 */
export function affordable(
  plans: readonly ThreadPlan[],
  sizeBytes: number,
  ownBytes: number,
  limitBytes: number | undefined,
): readonly ThreadPlan[] {
  if (limitBytes === undefined) return plans
  // Graph optimisation and prepacking hold a second copy of many weights; every plan stays loaded until one is chosen.
  let held = 1
  return plans.filter(({ workers }) => {
    const fits = (held + workers) * 2 * sizeBytes + ownBytes <= limitBytes
    if (fits) held += workers
    return fits
  })
}
