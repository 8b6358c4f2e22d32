// Where things lie: the checkout, and the cache that keeps what was built or downloaded outside of it.
import { join } from 'node:path'
import { cacheDir } from '../test/cluster/cache.ts'

/** The checkout this file is in. */
export const repoRoot = join(import.meta.dirname, '..')

/** A path in the cache. */
export const cachePath = (...parts: string[]): string => join(cacheDir(), ...parts)
