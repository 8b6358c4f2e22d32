// The Go toolchain: the machine's own where it is new enough, else one that is fetched into the cache through the Go
// module proxy. Never changes the machine's own installation.
import { chmod, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDir } from './cache.ts'
import { run } from './commands.ts'
import { findProgram, unpackPackages } from './packages.ts'
import { type Report, step } from './report.ts'
import { GO_MINIMUM, GO_TOOLCHAIN } from './version.ts'

/** A Go that can build Kubernetes: the program and the environment it needs. */
export interface Go {
  readonly program: string
  readonly environment: Readonly<Record<string, string>>
}

/** Finds or fetches a Go of at least {@link GO_MINIMUM}. */
export async function findGo(report: Report): Promise<Go> {
  const own = findProgram('go')
  const found = own && (await versionOf(own))
  if (own && found && isNewEnough(found, GO_MINIMUM)) return { program: own, environment: {} }
  report(
    `  this machine has ${found ? `Go ${found}` : 'no Go'}; Kubernetes needs ${GO_MINIMUM}, so one is fetched, once`,
  )
  return fetchGo(own ?? (await unpackDebianGo(report)), report)
}

/** Compares versions such as `1.19.8` and `1.24` number by number. */
export function isNewEnough(version: string, minimum: string): boolean {
  const [have, need] = [version, minimum].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)))
  for (const [index, least] of (need ?? []).entries()) {
    const number = have?.[index] ?? 0
    if (number !== least) return number > least
  }
  return true
}

async function versionOf(program: string): Promise<string | undefined> {
  const said = await run(program, ['version'], { environment: { GOTOOLCHAIN: 'local' } })
  return /go version go(\d+(?:\.\d+)*)/.exec(said)?.[1]
}

/**
 * Any Go that knows modules can download a newer toolchain as the module golang.org/toolchain, with its checksum
 * verified. What it cannot do is run it: module files carry no execute bit.
 * @see https://go.dev/doc/toolchain
 */
async function fetchGo(bootstrap: string, report: Report): Promise<Go> {
  const { os, arch } = { os: 'linux', arch: process.arch === 'arm64' ? 'arm64' : 'amd64' }
  const version = `v0.0.1-go${GO_TOOLCHAIN}.${os}-${arch}`
  const modules = join(cacheDir(), 'go', 'modules')
  const root = join(modules, 'golang.org', `toolchain@${version}`)
  const program = join(root, 'bin', 'go')
  if (!findProgram(program)) {
    await step(report, `fetching Go ${GO_TOOLCHAIN}`, async () => {
      const environment = { GOMODCACHE: modules, GOFLAGS: '-modcacherw', GO111MODULE: 'on' }
      await run(bootstrap, ['mod', 'download', `golang.org/toolchain@${version}`], { environment, cwd: cacheDir() })
    })
  }
  for (const folder of ['bin', join('pkg', 'tool', `${os}_${arch}`)]) {
    for (const file of await readdir(join(root, folder))) await chmod(join(root, folder, file), 0o755)
  }
  return { program, environment: { GOROOT: root, GOTOOLCHAIN: 'local' } }
}

/** Debian's Go, which is too old to build Kubernetes but able to download a newer one. */
async function unpackDebianGo(report: Report): Promise<string> {
  const depends = findProgram('apt-cache') ? await run('apt-cache', ['depends', 'golang-go']) : ''
  const name = /Depends: (golang-[\d.]+-go)/.exec(depends)?.[1]
  if (!name) throw new Error(`Go ${GO_MINIMUM} or newer is needed to build Kubernetes; install it and try again`)
  const folder = await unpackPackages([name, name.replace(/go$/, 'src')], join(cacheDir(), 'go', name), report)
  return join(folder, 'usr', 'lib', name.replace(/^golang-([\d.]+)-go$/, 'go-$1'), 'bin', 'go')
}
