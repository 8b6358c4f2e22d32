// Builds the images, and pushes them if asked. What has not changed is neither built nor pushed again: an image is
// known by a hash of everything that goes into it.
import { createHash } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withLock } from '../test/cluster/cache.ts'
import { envoyPath } from '../test/kit/envoy.ts'
import { resolveBase, type Base } from './base.ts'
import { imageNames, stage, type ImageName } from './bundle.ts'
import { findEngine, type Engine } from './engine.ts'
import { cachePath, repoRoot } from './paths.ts'
import { isPrivateHost, readManifest } from './registry.ts'

export interface BuildOptions {
  /** Registry to push to, `host:port` or `host/path`. Left out: the images stay in the engine's storage. */
  readonly push?: string
  /** The name by which a cluster knows that registry, where it differs from `push`. */
  readonly pullFrom?: string
  /** Plain HTTP. Default: only for loopback and private addresses. */
  readonly insecure?: boolean
  /** Default: the first 12 digits of the content hash, so that a tag never moves. */
  readonly tag?: string
  readonly base?: string
  readonly freshBase?: boolean
  /** Files added to an image: absolute path in the image → path here. */
  readonly files?: Partial<Readonly<Record<ImageName, Readonly<Record<string, string>>>>>
  readonly root?: string
  readonly log?: (line: string) => void
}

export interface BuiltImage {
  /** The name to write into a manifest: repository and tag. */
  readonly ref: string
  readonly repository: string
  readonly tag: string
  /** `sha256:…`: the manifest's in the registry; of an image that was not pushed, its id. */
  readonly digest: string
  /** Compressed bytes that a node downloads, base included; absent when the registry was not asked. */
  readonly sizeBytes?: number
  readonly unpackedBytes: number
  readonly built: boolean
  readonly pushed: boolean
}

/**
 * Builds the named images (all of them by default), pushes them if asked, and writes `dist/images.json`.
 * @throws Error naming the missing source, program, base image or registry, and what to do about it
 */
export async function buildImages(
  names: readonly ImageName[] = imageNames,
  options: BuildOptions = {},
): Promise<Record<string, BuiltImage>> {
  const { log = () => {} } = options
  // Two builds at once would write the same contexts.
  const build = async () => buildUnlocked(names, options, log)
  return withLock(cachePath('images', 'lock'), build, (pid) =>
    log(`waiting for process ${pid}, which builds images too`),
  )
}

async function buildUnlocked(
  names: readonly ImageName[],
  options: BuildOptions,
  log: (line: string) => void,
): Promise<Record<string, BuiltImage>> {
  const { root = repoRoot } = options
  const engine = await findEngine()
  const base = await resolveBase(engine, {
    log,
    ...(options.base !== undefined && { base: options.base }),
    ...(options.freshBase !== undefined && { fresh: options.freshBase }),
  })
  log(`base: ${base.ref} (${engine.name})`)
  const images: Record<string, BuiltImage> = {}
  for (const name of names) images[name] = await buildImage(name, engine, base, root, options, log)
  await mkdir(join(root, 'dist'), { recursive: true })
  await writeFile(join(root, 'dist', 'images.json'), `${JSON.stringify(images, null, 2)}\n`)
  return images
}

async function buildImage(
  name: ImageName,
  engine: Engine,
  base: Base,
  root: string,
  options: BuildOptions,
  log: (line: string) => void,
): Promise<BuiltImage> {
  const repositoryName = `slipway-${name}`
  const dockerfile = join(repoRoot, 'images', `${name}.Dockerfile`)
  const staging = stopwatch()
  const files = name === 'envoy' ? { '/usr/local/bin/envoy': await envoyPath(log) } : options.files?.[name]
  const context = await stage(name, { root, ...(files && { files }) })
  const hash = (await contentHash(dockerfile, context, base)).slice(0, 12)
  log(`${name}: bundled in ${staging()}`)

  const local = `localhost/${repositoryName}:${hash}`
  const built = (await engine.imageId(local)) === undefined
  if (built) {
    const building = stopwatch()
    await engine.build({ dockerfile, context, tag: local, buildArgs: { BASE: base.ref } })
    log(`${name}: built ${local} in ${building()}`)
    for (const old of await outdated(name, local))
      if ((await engine.imageId(old)) !== undefined) await engine.untag(old)
  } else {
    log(`${name}: nothing changed since ${local} was built, so it is used again`)
  }
  const id = await engine.imageId(local)
  if (id === undefined) throw new Error(`${engine.name} built ${local} but does not have it`)

  const tag = options.tag ?? hash
  const unpackedBytes = await engine.sizeBytes(local)
  if (options.push === undefined) {
    return {
      ref: local,
      repository: `localhost/${repositoryName}`,
      tag: hash,
      digest: id,
      unpackedBytes,
      built,
      pushed: false,
    }
  }
  const repository = `${options.pullFrom ?? options.push}/${repositoryName}`
  const sent = await push(
    engine,
    { local, id, registry: options.push, repositoryName, tag, insecure: options.insecure },
    log,
  )
  return { ref: `${repository}:${tag}`, repository, tag, ...sent, unpackedBytes, built }
}

interface Push {
  readonly local: string
  readonly id: string
  readonly registry: string
  readonly repositoryName: string
  readonly tag: string
  readonly insecure: boolean | undefined
}

async function push(
  engine: Engine,
  { local, id, registry, repositoryName, tag, insecure = isPrivateHost(registry) }: Push,
  log: (line: string) => void,
): Promise<{ digest: string; sizeBytes?: number; pushed: boolean }> {
  const remote = `${registry}/${repositoryName}:${tag}`
  const [host = registry, ...path] = registry.split('/')
  // Only a plain registry is asked: any other may want credentials, which are the engine's business.
  const look = async () => (insecure ? readManifest(host, [...path, repositoryName].join('/'), tag) : undefined)
  const there = await look()
  if (there?.configDigest === id) {
    log(`${repositoryName}: the registry has ${remote} already`)
    return { digest: there.digest, sizeBytes: there.sizeBytes, pushed: false }
  }
  const pushing = stopwatch()
  const digest = await engine.push(local, remote, insecure)
  log(`${repositoryName}: pushed ${remote}@${digest} in ${pushing()}`)
  const sizeBytes = (await look())?.sizeBytes
  return { digest, ...(sizeBytes !== undefined && { sizeBytes }), pushed: true }
}

/** How many builds of an image stay in the engine's storage, so that going back to one is not a build. */
const kept = 3

/** Notes that an image was built, and names the builds of it that need not stay. */
async function outdated(name: ImageName, built: string): Promise<string[]> {
  const notes = cachePath('images', `${name}.json`)
  const text = await readFile(notes, 'utf8').catch(() => '[]')
  const builds = [built, ...(JSON.parse(text) as string[]).filter((ref) => ref !== built)]
  await writeFile(notes, `${JSON.stringify(builds.slice(0, kept))}\n`)
  return builds.slice(kept)
}

/** SHA-256 over the base, the Dockerfile and every file of the context with its path. */
export async function contentHash(dockerfile: string, context: string, base: Pick<Base, 'id'>): Promise<string> {
  const hash = createHash('sha256')
    .update(base.id)
    .update(await readFile(dockerfile))
  const entries = await readdir(context, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name))
  for (const path of paths.toSorted()) {
    const data = (await lstat(path)).isSymbolicLink() ? Buffer.from(await readlink(path)) : await readFile(path)
    hash.update(`\0${path.slice(context.length)}\0${data.length}\0`).update(data)
  }
  return hash.digest('hex')
}

function stopwatch(): () => string {
  const started = performance.now()
  return () => `${((performance.now() - started) / 1000).toFixed(1)} s`
}
