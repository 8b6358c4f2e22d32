// Decides what our images stand on: the BASE asked for, node:24-bookworm-slim where a registry has it, or a base of
// our own made of Debian packages and the npm package `node`. The decision is kept in the cache for a day.
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine } from './engine.ts'
import { cachePath, repoRoot } from './paths.ts'
import { ask, run } from './run.ts'

export interface Base {
  /** What the Dockerfiles get as BASE. */
  readonly ref: string
  /** Its id: part of the content hash of every image on top. */
  readonly id: string
}

export interface BaseOptions {
  /** The image to stand on, instead of the default and of our own. */
  readonly base?: string
  /** Forget the remembered decision and an own base that was built before. */
  readonly fresh?: boolean
  readonly log: (line: string) => void
}

export const defaultBase = 'node:24-bookworm-slim'

const askRegistryMs = 15_000
const pullMs = 600_000
const dayMs = 86_400_000

/** @throws Error when the base asked for is neither here nor pullable */
export async function resolveBase(engine: Engine, { base, fresh = false, log }: BaseOptions): Promise<Base> {
  if (base !== undefined) {
    if ((await engine.imageId(base)) === undefined) {
      log(`base: pulling ${base}`)
      await engine.pull(base, pullMs)
    }
    return identified(engine, base)
  }
  const remembered = fresh ? undefined : await recall()
  const pullable = remembered ?? (await remember(await engineCanPull(engine, log)))
  if (!pullable) return ownBase(engine, fresh, log)
  if (fresh || (await engine.imageId(defaultBase)) === undefined) {
    log(`base: pulling ${defaultBase}`)
    await engine.pull(defaultBase, pullMs)
  }
  return identified(engine, defaultBase)
}

async function engineCanPull(engine: Engine, log: BaseOptions['log']): Promise<boolean> {
  log(`base: asking for ${defaultBase}, at most ${askRegistryMs / 1000} s`)
  const pullable = await engine.canPull(defaultBase, askRegistryMs)
  log(
    pullable
      ? `base: ${defaultBase} can be pulled`
      : `base: ${defaultBase} cannot be pulled here, so our own base is used (for a day; --fresh-base asks again)`,
  )
  return pullable
}

async function identified(engine: Engine, ref: string): Promise<Base> {
  const id = await engine.imageId(ref)
  if (id === undefined) throw new Error(`${engine.name} has no image ${ref} after it was pulled or built`)
  return { ref, id }
}

const memory = (): string => cachePath('images', 'base.json')

async function recall(): Promise<boolean | undefined> {
  const text = await readFile(memory(), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const { base, pullable, at } = JSON.parse(text) as { base: string; pullable: boolean; at: string }
  return base === defaultBase && Date.now() - Date.parse(at) < dayMs ? pullable : undefined
}

async function remember(pullable: boolean): Promise<boolean> {
  await mkdir(cachePath('images'), { recursive: true })
  await writeFile(memory(), `${JSON.stringify({ base: defaultBase, pullable, at: new Date().toISOString() })}\n`)
  return pullable
}

/** What node and onnxruntime are linked with, the root certificates, the locale C.UTF-8, and the name of the distribution. */
const packages = ['base-files', 'ca-certificates', 'gcc-12-base', 'libc-bin', 'libc6', 'libgcc-s1', 'libstdc++6']

/** Left out of the packages: programs, character sets that only iconv reads, documentation but for the licences. */
const leftOut = [
  'sbin',
  'usr/bin',
  'usr/sbin',
  'usr/lib/x86_64-linux-gnu/gconv',
  'usr/share/base-files',
  'usr/share/info',
  'usr/share/libc-bin',
  'usr/share/lintian',
  'usr/share/man',
]

/** An image FROM scratch with what the packages hold and the node binary; nothing in it can start a shell. */
async function ownBase(engine: Engine, fresh: boolean, log: BaseOptions['log']): Promise<Base> {
  const node = join(repoRoot, 'node_modules', 'node', 'bin', 'node')
  const version = (await run(node, ['--version'])).trim()
  const recipe = createHash('sha256')
    .update(await readFile(import.meta.filename))
    .update(await readFile(join(import.meta.dirname, 'base.Dockerfile')))
    .digest('hex')
  const ref = `localhost/slipway-base:node-${version}-${recipe.slice(0, 12)}`
  if (!fresh && (await engine.imageId(ref)) !== undefined) return identified(engine, ref)

  const started = performance.now()
  log(`base: building our own from Debian packages (${packages.join(', ')}) and node ${version}`)
  const work = await mkdtemp(join(tmpdir(), 'slipway-base-'))
  try {
    const root = join(work, 'rootfs')
    await unpackPackages(join(work, 'deb'), root)
    await writeSystemFiles(root)
    await mkdir(join(root, 'usr/local/bin'), { recursive: true })
    await copyFile(node, join(root, 'usr/local/bin/node'))
    await chmod(join(root, 'usr/local/bin/node'), 0o755)
    await provenToStart(root)
    await engine.build({ dockerfile: join(import.meta.dirname, 'base.Dockerfile'), context: root, tag: ref })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  log(`base: built in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return identified(engine, ref)
}

async function unpackPackages(folder: string, root: string): Promise<void> {
  // World-writable, since apt downloads as a user of its own.
  await mkdir(folder)
  await chmod(folder, 0o777)
  await chmod(join(folder, '..'), 0o755)
  await mkdir(root)
  await downloadPackages(folder)
  const status = join(root, 'var/lib/dpkg/status.d')
  for (const file of (await readdir(folder)).toSorted()) {
    const deb = join(folder, file)
    await run('dpkg-deb', ['--extract', deb, root])
    // One file a package, where image scanners look for what a base without dpkg is made of.
    await mkdir(status, { recursive: true })
    await writeFile(join(status, file.split('_')[0] ?? file), await run('dpkg-deb', ['--field', deb]))
  }
}

async function downloadPackages(folder: string): Promise<void> {
  const download = async (): Promise<string> => run('apt-get', ['download', ...packages], { cwd: folder })
  try {
    await download()
  } catch {
    // The usual reason is that the package lists were never fetched or are too old.
    await run('apt-get', ['update']).catch((error: unknown) => {
      throw new Error(
        `${defaultBase} cannot be pulled, and our own base cannot be built: it needs apt-get and its package lists. ` +
          `On Debian run apt-get update as root; elsewhere name an image with Node 24: --base IMAGE. (${String(error)})`,
      )
    })
    await download()
  }
}

async function writeSystemFiles(root: string): Promise<void> {
  for (const path of leftOut) await rm(join(root, path), { recursive: true, force: true })
  for (const name of await readdir(join(root, 'usr/share/doc'))) {
    for (const file of await readdir(join(root, 'usr/share/doc', name)))
      if (file !== 'copyright') await rm(join(root, 'usr/share/doc', name, file), { recursive: true })
  }
  const mozilla = join(root, 'usr/share/ca-certificates/mozilla')
  const certificates = (await readdir(mozilla)).toSorted().map(async (name) => readFile(join(mozilla, name), 'utf8'))
  await put(root, 'etc/ssl/certs/ca-certificates.crt', (await Promise.all(certificates)).join(''))
  await put(
    root,
    'etc/passwd',
    'root:x:0:0:root:/root:/sbin/nologin\nslipway:x:65532:65532:slipway:/tmp:/sbin/nologin\n',
  )
  await put(root, 'etc/group', 'root:x:0:\nslipway:x:65532:\n')
  // Without this file glibc asks DNS before it reads the hosts file that the kubelet writes.
  await put(root, 'etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n')
  await rm(join(root, 'tmp'), { recursive: true, force: true })
  await mkdir(join(root, 'tmp'))
  await chmod(join(root, 'tmp'), 0o1777)
  if ((await readFile(join(root, 'etc/os-release'), 'utf8').catch(() => undefined)) === undefined)
    await symlink('../usr/lib/os-release', join(root, 'etc/os-release'))
}

async function put(root: string, path: string, text: string): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true })
  await writeFile(join(root, path), text)
}

/** A missing library would show only when the first pod starts; a chroot (root only) shows it now. */
async function provenToStart(root: string): Promise<void> {
  if (process.getuid?.() !== 0 || (await ask('chroot', ['--version'])) === undefined) return
  await run('chroot', [root, '/usr/local/bin/node', '--eval', 'process.exit(0)'])
}
