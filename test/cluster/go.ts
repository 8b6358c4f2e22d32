// The Go toolchain: the machine's own where it is new enough, else one that is fetched into the cache through the Go
// module proxy. Never changes the machine's own installation.
import { chmod, readdir, rm } from 'node:fs/promises'
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
  const go = fetchedGo()
  if (!findProgram(go.program)) {
    const has = found ? `Go ${found}` : 'no Go'
    report(`  this machine has ${has}; Kubernetes needs ${GO_MINIMUM}, so Go ${GO_TOOLCHAIN} is fetched, once`)
    await fetchGo(own ?? (await unpackDebianGo(report)), report)
    await rm(bootstrapFolder(), { recursive: true, force: true })
  }
  return go
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

const moduleFolder = (): string => join(cacheDir(), 'go', 'modules')
const bootstrapFolder = (): string => join(cacheDir(), 'go', 'bootstrap')
const platform = `linux-${process.arch === 'arm64' ? 'arm64' : 'amd64'}`
const toolchain = `golang.org/toolchain@v0.0.1-go${GO_TOOLCHAIN}.${platform}`

function fetchedGo(): Go {
  const root = join(moduleFolder(), toolchain)
  return { program: join(root, 'bin', 'go'), environment: { GOROOT: root, GOTOOLCHAIN: 'local' } }
}

/**
 * Any Go that knows modules can download a newer toolchain as a module, with its checksum verified. What it cannot do
 * is run it: files of modules carry no execute bit. The program itself gets it last, as the sign that all is there.
 * @see https://go.dev/doc/toolchain
 */
async function fetchGo(bootstrap: string, report: Report): Promise<void> {
  const environment = { GOMODCACHE: moduleFolder(), GOFLAGS: '-modcacherw', GO111MODULE: 'on' }
  await step(report, `fetching Go ${GO_TOOLCHAIN}`, () =>
    run(bootstrap, ['mod', 'download', toolchain], { environment, cwd: cacheDir() }),
  )
  for (const folder of [join('pkg', 'tool', platform.replace('-', '_')), 'bin']) {
    const path = join(moduleFolder(), toolchain, folder)
    for (const file of await readdir(path)) await chmod(join(path, file), 0o755)
  }
}

/** Debian's Go, which is too old to build Kubernetes but able to download a newer one. */
async function unpackDebianGo(report: Report): Promise<string> {
  const depends = findProgram('apt-cache') ? await run('apt-cache', ['depends', 'golang-go']) : ''
  const name = /Depends: (golang-[\d.]+-go)/.exec(depends)?.[1]
  if (!name) throw new Error(`Go ${GO_MINIMUM} or newer is needed to build Kubernetes; install it and try again`)
  const folder = await unpackPackages([name, name.replace(/go$/, 'src')], bootstrapFolder(), report)
  return join(folder, 'usr', 'lib', name.replace(/^golang-([\d.]+)-go$/, 'go-$1'), 'bin', 'go')
}
