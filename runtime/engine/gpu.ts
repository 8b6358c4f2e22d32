/**
 * Whether a GPU that was asked for is really there and really computes. A model that falls back to the CPU in silence
 * costs a GPU and answers ten times slower, so every doubt is a refusal.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fault, type Fault } from '../errors.ts'

/** The library that ONNX Runtime loads for CUDA; the npm package does not carry it. */
const providerLibrary = 'libonnxruntime_providers_cuda.so'

/** What lies around ONNX Runtime in this container. */
export interface GpuSurroundings {
  /** The folder that ONNX Runtime was loaded from, where it looks for its providers; undefined when that is not known. */
  readonly folder: string | undefined
  readonly hasLibrary: boolean
  /** Whether the kernel of this machine has NVIDIA's driver and lets this container see it. */
  readonly hasDriver: boolean
}

/** Looks around. `root` is where `/proc` and `/dev` are found. */
export function gpuSurroundings(root = '/'): GpuSurroundings {
  const maps = readText(join(root, 'proc/self/maps'))
  const path = /\s(\/\S*libonnxruntime\.so\S*)/.exec(maps)?.[1]
  const folder = path === undefined ? undefined : dirname(path)
  return {
    folder,
    hasLibrary: folder !== undefined && existsSync(join(folder, providerLibrary)),
    hasDriver: existsSync(join(root, 'proc/driver/nvidia/version')) && existsSync(join(root, 'dev/nvidiactl')),
  }
}

/**
 * Why ONNX Runtime would not use the GPU, with the fix. It only says that something failed to load, so the reason is
 * looked for, in the order in which it would fail.
 */
export function gpuFault(words: string, { folder = 'its folder', hasLibrary, hasDriver }: GpuSurroundings): Fault {
  if (!hasLibrary) return fault('GpuLibraryMissing', { library: providerLibrary, folder })
  if (!hasDriver) return fault('GpuDriverMissing', {})
  return fault('GpuRefused', { words })
}

/** Time that each execution provider computed, in microseconds, from a profile of ONNX Runtime. */
export function providerTimes(profile: string): ReadonlyMap<string, number> {
  const events = JSON.parse(profile) as readonly {
    readonly cat?: string
    readonly dur?: number
    readonly args?: { readonly provider?: string }
  }[]
  const times = new Map<string, number>()
  for (const { cat, dur = 0, args } of events) {
    if (cat !== 'Node' || args?.provider === undefined) continue
    times.set(args.provider, (times.get(args.provider) ?? 0) + dur)
  }
  return times
}

/**
 * The share of the time that the GPU computed, from 0 to 1. Some nodes belong on the CPU even then: those that compute
 * shapes.
 * @throws Fault `GpuUnused` when it computed nothing
 */
export function gpuShare(times: ReadonlyMap<string, number>): number {
  const onGpu = times.get('CUDAExecutionProvider')
  const total = [...times.values()].reduce((sum, time) => sum + time, 0)
  if (onGpu === undefined) throw fault('GpuUnused', { providers: [...times.keys()].join(', ') || 'none' })
  return total === 0 ? 1 : onGpu / total
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Where /proc is not to be had, nothing is known, and the fault says so.
    return ''
  }
}
