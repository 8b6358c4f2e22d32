// The files that Envoy reads. Each is written beside its place and renamed into it: Envoy sees nothing else, and a disk
// that is full leaves the old file whole.
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Setting } from '../model.ts'
import type { Message, XdsFile } from '../xds/json.ts'
import { clustersFile, listenersFile } from '../xds/names.ts'
import { resourcesFile, type Resource } from '../xds/render.ts'
import type { Disk } from './plan.ts'

/** The settings that Envoy has applied: what keeps an old epoch out after the agent was started again. */
const appliedFile = 'applied.json'
const folders = ['eds', 'rds']

/** One model as Envoy serves it: what was asked, and the shares that came of it. */
export interface Applied {
  readonly setting: Setting
  /** Thousandths by revision. */
  readonly weights: Readonly<Record<string, number>>
}

export class XdsFolder implements Disk {
  readonly #folder: string
  readonly #files = new Map<string, XdsFile>()
  #clusters: ReadonlyMap<string, Resource> = new Map()
  #listeners: ReadonlyMap<string, Resource> = new Map()
  #applied = ''

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Reads what an agent before this one has left; a file that cannot be read counts as absent and is written anew. */
  static async open(folder: string): Promise<XdsFolder> {
    const opened = new XdsFolder(folder)
    for (const name of folders) await mkdir(join(folder, name), { recursive: true })
    const names = await Promise.all(
      ['', ...folders].map(async (inside) => (await readdir(join(folder, inside))).map((name) => join(inside, name))),
    )
    for (const path of names.flat()) await opened.#read(path)
    return opened
  }

  get files(): ReadonlyMap<string, XdsFile> {
    return this.#files
  }

  get clusters(): ReadonlyMap<string, Resource> {
    return this.#clusters
  }

  get listeners(): ReadonlyMap<string, Resource> {
    return this.#listeners
  }

  /** @throws the file system's error, `ENOSPC` for instance; the file is then as it was */
  async write(path: string, file: XdsFile): Promise<XdsFile> {
    await this.#put(path, file.text)
    this.#files.set(path, file)
    return file
  }

  /**
   * A file of several resources. Each writing has a version of its own, even with the same content: after a refusal
   * the old version still stands in Envoy's statistics, and only a new one tells that the file was read again.
   */
  async writeResources(
    path: typeof clustersFile | typeof listenersFile,
    resources: ReadonlyMap<string, Resource>,
  ): Promise<XdsFile> {
    const count = Number(this.#files.get(path)?.version.split('-')[1] ?? 0) + 1
    const file = resourcesFile(resources.values(), count)
    await this.write(path, file)
    if (path === clustersFile) this.#clusters = resources
    else this.#listeners = resources
    return file
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.#folder, path), { force: true })
    this.#files.delete(path)
  }

  /** By uid; undefined where no agent has published anything yet. */
  async readApplied(): Promise<ReadonlyMap<string, Applied> | undefined> {
    const text = await readFile(join(this.#folder, appliedFile), 'utf8').catch(() => '')
    const models = parse(text)?.['models']
    return Array.isArray(models) ? new Map((models as Applied[]).map((model) => [model.setting.uid, model])) : undefined
  }

  async writeApplied(applied: ReadonlyMap<string, Applied>): Promise<void> {
    const text = JSON.stringify({ models: [...applied.values()] })
    if (text === this.#applied) return
    await this.#put(appliedFile, text)
    this.#applied = text
  }

  /** A file of no concern to Envoy's subscriptions. */
  async put(path: string, text: string): Promise<void> {
    await this.#put(path, text)
  }

  async #put(path: string, text: string): Promise<void> {
    const target = join(this.#folder, path)
    const beside = join(dirname(target), `.${basename(target)}.new`)
    try {
      await writeFile(beside, text)
      await rename(beside, target)
    } catch (error) {
      // The reason is the first error; what is left beside is overwritten by the next try.
      await rm(beside, { force: true }).catch(() => {})
      throw error
    }
  }

  async #read(path: string): Promise<void> {
    if (!path.endsWith('.json') || basename(path).startsWith('.')) return
    if (dirname(path) === '.' && path !== clustersFile && path !== listenersFile) return
    const text = await readFile(join(this.#folder, path), 'utf8')
    const { version_info: version, resources: messages } = parse(text) ?? {}
    if (typeof version !== 'string' || !Array.isArray(messages)) return
    this.#files.set(path, { version, text })
    const named = (messages as Message[]).map((message) => ({ name: String(message['name']), message }))
    const resources = new Map(named.map((resource) => [resource.name, resource]))
    if (path === clustersFile) this.#clusters = resources
    if (path === listenersFile) this.#listeners = resources
  }
}

const parse = (text: string): Message | undefined => {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Message) : undefined
  } catch {
    return undefined
  }
}
