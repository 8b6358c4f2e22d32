/** V8's collector of garbage, for tests of what is kept alive. */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { readonly type: 'minor' | 'major' }) => void

let collector: Collect | undefined

/** Collects now: only what is young, or everything. */
export function collect(type: 'minor' | 'major'): void {
  if (collector === undefined) {
    // A program can call it only when it was asked to be there.
    setFlagsFromString('--expose-gc')
    collector = runInNewContext('gc') as Collect
  }
  collector({ type })
}

/** Bytes of what has grown old, be it alive or not yet collected. */
export const oldBytes = (): number =>
  getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === 'old_space')
    .reduce((sum, { space_used_size: used }) => sum + used, 0)

/**
 * By how many bytes the old part of the heap grows while entries pass through something that is old itself.
 * @param pass lets some hundred entries pass
 */
export function growthBy(pass: () => void): number {
  pass()
  // What has seen two collections is old.
  collect('major')
  collect('major')
  const before = oldBytes()
  for (let turn = 0; turn < 40; turn += 1) {
    pass()
    collect('minor')
  }
  return oldBytes() - before
}
