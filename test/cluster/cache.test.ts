import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { cacheDir, withLock } from './cache.ts'
import { recordOf } from './processes.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'slipway-lock-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('the cache is where SLIPWAY_CACHE says, else in the user’s cache folder', () => {
  expect(cacheDir({ SLIPWAY_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
  expect(cacheDir({ XDG_CACHE_HOME: '/b' })).toBe('/b/slipway')
  expect(cacheDir({})).toMatch(/\/\.cache\/slipway$/)
})

describe('a lock', () => {
  test('lets one in at a time and is gone afterwards, also after a failure', async () => {
    const lock = join(dir, 'deep', 'lock')
    let inside = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setTimeout(resolve, 5))
      inside--
      throw new Error('on purpose')
    }
    const results = await Promise.allSettled([1, 2, 3].map(() => withLock(lock, work)))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(most).toBe(1)
    expect(existsSync(lock)).toBe(false)
  })

  test('of a dead owner is taken over; of a living one it is waited for, and says whose it is', async () => {
    const lock = join(dir, 'lock')
    const own = recordOf('lock', process.pid)
    writeFileSync(lock, JSON.stringify({ ...own, startTicks: 1 }))
    expect(await withLock(lock, async () => 'mine')).toBe('mine')

    writeFileSync(lock, JSON.stringify(own))
    const waitedFor: number[] = []
    const waiting = withLock(
      lock,
      async () => 'never',
      (pid) => waitedFor.push(pid),
      300,
    )
    await expect(waiting).rejects.toThrow(`is held by process ${process.pid}`)
    expect(waitedFor).toEqual([process.pid])
  })
})
