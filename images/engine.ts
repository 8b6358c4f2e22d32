// The two programs that can build an image, behind one small interface: buildah, and docker where buildah is not.
// Images built here stay in the cache (buildah) or in the daemon (docker) until someone deletes them.
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cachePath } from './paths.ts'
import { ask, run } from './run.ts'

export interface Build {
  readonly dockerfile: string
  readonly context: string
  readonly tag: string
  readonly buildArgs?: Readonly<Record<string, string>>
}

export interface Engine {
  readonly name: 'buildah' | 'docker'
  /** The image's id (the digest of its configuration), or undefined when it is not here. */
  imageId(ref: string): Promise<string | undefined>
  /** Unpacked size in bytes. */
  sizeBytes(ref: string): Promise<number>
  /** Whether a registry answers for this image within the time. Downloads no layer. */
  canPull(ref: string, timeoutMs: number): Promise<boolean>
  pull(ref: string, timeoutMs: number): Promise<void>
  build(build: Build): Promise<void>
  /** Forgets a name, and its layers unless another image has them. */
  untag(ref: string): Promise<void>
  /** Pushes and returns the manifest's digest as the registry has it. */
  push(ref: string, remote: string, insecure: boolean): Promise<string>
}

/** Every image is built for what the runtime's native library is made for. */
const platform = 'linux/amd64'

/**
 * The first engine that works here.
 * @throws Error that says what to install
 */
export async function findEngine(): Promise<Engine> {
  if ((await ask('buildah', ['--version'])) !== undefined) return buildah()
  if ((await ask('docker', ['info'], { timeoutMs: 10_000 })) !== undefined) return docker
  throw new Error(
    'Neither buildah nor a docker daemon was found, and one of them has to build the images. ' +
      'On Debian: apt-get install --no-install-recommends buildah',
  )
}

async function buildah(): Promise<Engine> {
  // As root the storage is ours alone, in the cache, so that deleting the cache deletes everything. Without root,
  // buildah's own defaults know best which driver the kernel allows.
  const root = process.getuid?.() === 0
  const storage = root ? ['--root', cachePath('images', 'storage'), '--runroot', cachePath('images', 'run')] : []
  const env: Record<string, string> = root
    ? { STORAGE_DRIVER: process.env['STORAGE_DRIVER'] ?? 'overlay', BUILDAH_ISOLATION: 'chroot' }
    : {}
  if (root) await mkdir(cachePath('images'), { recursive: true })
  const call = async (args: readonly string[], timeoutMs?: number): Promise<string> =>
    run('buildah', [...storage, ...args], { env, ...(timeoutMs !== undefined && { timeoutMs }) })
  const imageId = async (ref: string): Promise<string | undefined> => {
    const inspect = ['inspect', '--type', 'image', '--format', '{{.FromImageID}}', ref]
    const id = (await ask('buildah', [...storage, ...inspect], { env }))?.trim()
    return id === undefined || id === '' ? undefined : `sha256:${id}`
  }

  return {
    name: 'buildah',
    imageId,
    async sizeBytes(ref) {
      const id = await imageId(ref)
      const images = JSON.parse(await call(['images', '--json', '--no-trunc'])) as { id: string; size: string }[]
      const image = images.find((candidate) => candidate.id.replace(/^sha256:/, '') === id?.replace(/^sha256:/, ''))
      if (image === undefined) throw new Error(`${ref} is not among buildah's images`)
      return parseSize(image.size)
    },
    async canPull(ref, timeoutMs) {
      return (await ask('buildah', [...storage, 'manifest', 'inspect', ref], { env, timeoutMs })) !== undefined
    },
    async pull(ref, timeoutMs) {
      await call(['pull', '--quiet', '--platform', platform, ref], timeoutMs)
    },
    async build({ dockerfile, context, tag, buildArgs = {} }) {
      const args = Object.entries(buildArgs).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
      // A fixed time in every layer: the same input gives the same digest.
      const reproducible = ['--timestamp', '0', '--layers=false']
      const input = [...args, '--platform', platform, '--pull=false', '--file', dockerfile, context]
      await call(['bud', '--quiet', ...reproducible, '--tag', tag, ...input])
    },
    async untag(ref) {
      await call(['rmi', ref])
    },
    async push(ref, remote, insecure) {
      const folder = await mkdtemp(join(tmpdir(), 'slipway-push-'))
      try {
        const digestFile = join(folder, 'digest')
        await call([
          'push',
          '--quiet',
          `--tls-verify=${!insecure}`,
          '--digestfile',
          digestFile,
          ref,
          `docker://${remote}`,
        ])
        return (await readFile(digestFile, 'utf8')).trim()
      } finally {
        await rm(folder, { recursive: true })
      }
    },
  }
}

const docker: Engine = {
  name: 'docker',
  async imageId(ref) {
    return (await ask('docker', ['image', 'inspect', '--format', '{{.Id}}', ref]))?.trim()
  },
  async sizeBytes(ref) {
    return Number(await run('docker', ['image', 'inspect', '--format', '{{.Size}}', ref]))
  },
  async canPull(ref, timeoutMs) {
    return (await ask('docker', ['manifest', 'inspect', ref], { timeoutMs })) !== undefined
  },
  async pull(ref, timeoutMs) {
    await run('docker', ['pull', '--quiet', '--platform', platform, ref], { timeoutMs })
  },
  async build({ dockerfile, context, tag, buildArgs = {} }) {
    const args = Object.entries(buildArgs).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
    await run('docker', ['build', '--quiet', '--platform', platform, ...args, '-t', tag, '-f', dockerfile, context], {
      env: { SOURCE_DATE_EPOCH: '0' },
    })
  },
  async untag(ref) {
    await run('docker', ['rmi', ref])
  },
  async push(ref, remote) {
    await run('docker', ['tag', ref, remote])
    const said = await run('docker', ['push', remote])
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(said)?.[1]
    if (digest === undefined) throw new Error(`docker push ${remote} named no digest:\n${said.slice(-500)}`)
    return digest
  },
}

/** `"131 MB"` as buildah prints it, in bytes. */
function parseSize(text: string): number {
  const match = /^([\d.]+) ?(B|KB|MB|GB)$/i.exec(text)
  if (match === null) throw new Error(`buildah printed a size that cannot be read: ${text}`)
  return Math.round(Number(match[1]) * 1000 ** ['B', 'KB', 'MB', 'GB'].indexOf(match[2]?.toUpperCase() ?? 'B'))
}
