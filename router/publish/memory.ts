// What an agent that is started again has to know before anybody else tells it: the settings that Envoy has applied,
// below which no epoch goes, and where the pods were, so that an Envoy that is started again while the API server is
// away gets all of it again. The only file that the agent writes once it runs.
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Endpoints, RevisionEndpoints, Setting } from '../model.ts'

const memoryFile = 'applied.json'

/** One model as Envoy serves it: what was asked, and the shares that came of it. */
export interface Applied {
  readonly setting: Setting
  /** Thousandths by revision. */
  readonly weights: Readonly<Record<string, number>>
}

export interface Remembered {
  /** By uid. */
  readonly applied: ReadonlyMap<string, Applied>
  readonly endpoints: Endpoints
}

export class MemoryFile {
  readonly #path: string
  #text = ''

  constructor(folder: string) {
    this.#path = join(folder, memoryFile)
  }

  /** Undefined where no agent has written anything yet, or nothing that can be read. */
  async read(): Promise<Remembered | undefined> {
    const { models, endpoints } = parse(await readFile(this.#path, 'utf8').catch(() => ''))
    if (!Array.isArray(models) || !Array.isArray(endpoints)) return undefined
    return {
      applied: new Map((models as Applied[]).map((model) => [model.setting.uid, model])),
      endpoints: new Map(endpoints as [string, RevisionEndpoints][]),
    }
  }

  /** Nothing is written that stands there already. @throws the file system's error, `ENOSPC` for instance */
  async write({ applied, endpoints }: Remembered): Promise<void> {
    const text = JSON.stringify({ models: [...applied.values()], endpoints: [...endpoints] })
    if (text === this.#text) return
    await replaceFile(this.#path, text)
    this.#text = text
  }
}

/** Written beside its place and renamed into it: a disk that is full, or an end in the middle, leaves the old one whole. */
export const replaceFile = async (path: string, text: string): Promise<void> => {
  const beside = `${path}.new`
  try {
    await writeFile(beside, text)
    await rename(beside, path)
  } catch (error) {
    // The reason is the first error; what is left beside is overwritten by the next try.
    await rm(beside, { force: true }).catch(() => {})
    throw error
  }
}

const parse = (text: string): { readonly models?: unknown; readonly endpoints?: unknown } => {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}
