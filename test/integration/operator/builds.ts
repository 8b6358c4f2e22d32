// Other builds of the operator to upgrade from and to: this tree with other defaults, and an earlier commit where the
// checkout has its history. Each is a copy of the sources in a folder of its own, run as this one is.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..', '..')

export interface Build {
  readonly name: string
  /** Its operator's program. */
  readonly main: string
  remove(): Promise<void>
}

/** What a later release could do to pods if they were not frozen: by file, a text and what it becomes. */
const otherDefaults: Readonly<Record<string, readonly (readonly [from: string, to: string])[]>> = {
  'operator/modeldeployment/desired/podtemplate.ts': [
    ['?? 512', '?? 256'],
    ["?? '30s'", "?? '20s'"],
    ['?? 20)', '?? 5)'],
    ['terminationGraceSeconds = 60', 'terminationGraceSeconds = 45'],
    ['{ periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 5 }', '{ periodSeconds: 3, failureThreshold: 3 }'],
  ],
}

/** This tree with other defaults. @throws when a default is not where it was */
export const withOtherDefaults = async (): Promise<Build> => {
  const build = await folderOf('other defaults')
  await cp(join(root, 'operator'), join(build.folder, 'operator'), { recursive: true })
  for (const [file, changes] of Object.entries(otherDefaults)) {
    const path = join(build.folder, file)
    let text = await readFile(path, 'utf8')
    for (const [from, to] of changes) {
      if (!text.includes(from)) throw new Error(`${file} has no "${from}": say what its default is now`)
      text = text.replace(from, to)
    }
    await writeFile(path, text)
  }
  return build
}

/** The operator of an earlier commit; undefined where the checkout does not reach back to it (a shallow clone). */
export const ofCommit = async (commit: string): Promise<Build | undefined> => {
  const known = await run('git', ['-C', root, 'cat-file', '-e', `${commit}^{commit}`]).then(
    () => true,
    () => false,
  )
  if (!known) return undefined
  const build = await folderOf(commit)
  const archive = join(build.folder, 'operator.tar')
  await run('git', ['-C', root, 'archive', '--output', archive, commit, 'operator', 'package.json'])
  await run('tar', ['-xf', archive, '-C', build.folder])
  return build
}

const folderOf = async (name: string): Promise<Build & { readonly folder: string }> => {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-build-'))
  await mkdir(folder, { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await cp(join(root, 'package.json'), join(folder, 'package.json'))
  return {
    name,
    folder,
    main: join(folder, 'operator', 'main.ts'),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
