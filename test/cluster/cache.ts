// Where everything built or downloaded is kept, outside the checkout; and a lock, so that two commands never build
// the same thing or start the same cluster at once.
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, parseRecord, recordOf } from './processes.ts'

/** The cache folder: `$SLIPWAY_CACHE`, else `$XDG_CACHE_HOME/slipway`, else `~/.cache/slipway`. */
export function cacheDir(environment: NodeJS.ProcessEnv = process.env): string {
  const own = environment['SLIPWAY_CACHE']
  if (own) return own
  const shared = environment['XDG_CACHE_HOME']
  return join(shared || join(homedir(), '.cache'), 'slipway')
}

/**
 * Runs `work` while holding the lock file `path`. A lock whose owner is dead is taken over.
 * @param onWait called once, with the owner's pid, when somebody else holds the lock
 * @throws when `timeoutMs` passes while another living process holds it
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  onWait: (pid: number) => void = () => {},
  timeoutMs = 1_800_000,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  const deadline = Date.now() + timeoutMs
  for (let told = false; !(await tryLock(path));) {
    const owner = parseRecord(await readFile(path, 'utf8').catch(() => ''))
    // An empty file is an owner between creating and writing it: give it the same patience as a living one.
    if (owner && !isAlive(owner)) {
      await rm(path, { force: true })
      continue
    }
    if (Date.now() > deadline) throw new Error(`${path} is held by process ${owner?.pid ?? 'unknown'}; is it stuck?`)
    if (!told && owner) onWait(owner.pid)
    told ||= owner !== undefined
    await sleep(250)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    await file.writeFile(JSON.stringify(recordOf('lock', process.pid)))
    await file.close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
