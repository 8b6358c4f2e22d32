/**
 * Python packages for tests that use clients written by others: a folder of their own, outside the checkout, filled once.
 * It must never change the machine's own Python packages.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDir, withLock } from '../cluster/cache.ts'
import { run } from '../cluster/commands.ts'
import { installPackages, pip } from '../cluster/packages.ts'
import { toStderr } from '../cluster/report.ts'

/**
 * A program that is Python with exactly these packages and what they need. The first call takes as long as pip. No
 * virtual environment: Debian's Python can make none without a further package.
 * @param packages with their versions, such as `tritonclient[grpc]==2.73.0`
 * @throws Error with pip's words, or naming pip where there is none and this is not root
 */
export async function pythonWith(packages: readonly string[]): Promise<string> {
  const name = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12)
  const folder = join(cacheDir(), 'python', name)
  const python = join(folder, 'python')
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(python)) return
    await installPackages([pip], toStderr)
    await rm(folder, { recursive: true, force: true })
    const quietly = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore']
    await run('python3', ['-m', 'pip', 'install', ...quietly, '--target', join(folder, 'packages'), ...packages])
    await writeFile(`${python}.new`, `#!/bin/sh\nPYTHONPATH='${join(folder, 'packages')}' exec python3 "$@"\n`)
    await chmod(`${python}.new`, 0o755)
    await rename(`${python}.new`, python)
  })
  return python
}
