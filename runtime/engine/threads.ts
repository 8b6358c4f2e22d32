/**
 * How many threads ONNX Runtime gets, from the container's CPU limits.
 * It must never leave the choice to ONNX Runtime, which counts the machine's cores and spins on them under a quota.
 */
import type { CpuLimits } from '../cgroup.ts'

export interface ThreadPlan {
  /** Inference workers, each with its own session. */
  readonly workers: number
  /** Threads inside one run of a session. */
  readonly intraOpThreads: number
  /** Whether idle threads of the session burn CPU while they wait for work. */
  readonly spinning: boolean
}

/** `Auto` takes the whole cores of the quota, at least one. */
export function planThreads({ cores, quota }: CpuLimits, setting: number | 'Auto'): ThreadPlan {
  const usable = Math.min(cores, quota ?? cores)
  const intraOpThreads = setting === 'Auto' ? Math.max(1, Math.floor(usable)) : setting
  // A spinning thread uses up the quota of the threads that compute, and more threads than cores spin against each other.
  const spinning = intraOpThreads > 1 && intraOpThreads <= usable && (quota === undefined || quota >= cores)
  return { workers: 1, intraOpThreads, spinning }
}
