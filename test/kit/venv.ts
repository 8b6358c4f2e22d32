/**
 * Python packages for tests that use clients written by others: an environment of their own, outside the checkout, made
 * once. It must never change the machine's own Python.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDir, withLock } from '../cluster/cache.ts'
import { run } from '../cluster/commands.ts'

/**
 * The Python of an environment that has exactly these packages and what they need. The first call takes as long as pip.
 * @param packages with their versions, such as `tritonclient[grpc]==2.73.0`
 * @throws Error with pip's words; python3 and its venv module must be there
 */
export async function pythonWith(packages: readonly string[]): Promise<string> {
  const name = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12)
  const folder = join(cacheDir(), 'venvs', name)
  const python = join(folder, 'bin', 'python')
  const complete = join(folder, 'complete')
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(complete)) return
    await rm(folder, { recursive: true, force: true })
    await run('python3', ['-m', 'venv', folder])
    await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages])
    await writeFile(complete, packages.join('\n'))
  })
  return python
}
