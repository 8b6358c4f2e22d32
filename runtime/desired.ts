/**
 * Which versions of the model a server is to hold, as a file tells it: the internal administration of a server. Who
 * writes that file (a mounted ConfigMap, a sidecar, a person) decides what is loaded, and which version is the default.
 */
import { readFile } from 'node:fs/promises'
import { fault, wordsOf } from './errors.ts'
import type { VersionSpec } from './version.ts'

export interface Desired {
  /** The version of requests that name none. */
  readonly current: string
  readonly versions: readonly VersionSpec[]
}

/**
 * `{"current":"v2","versions":[{"version":"v2","file":"/models/v2.onnx","digest":"sha256:…","labels":["stable"]}]}`;
 * digest and labels may be left out.
 * @throws Fault `BadVersionsFile` naming the field
 */
export function parseDesired(text: string, path: string): Desired {
  const refuse = (problem: string, remedy: string): never => {
    throw fault('BadVersionsFile', { path, problem, remedy })
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return refuse('it is not valid JSON', 'write {"current":…,"versions":[…]}')
  }
  const { current, versions } = fieldsOf(parsed, 'it', ['current', 'versions'], refuse)
  if (!Array.isArray(versions) || versions.length === 0) {
    return refuse('versions is not a list with an entry', 'write [{"version":…,"file":…}]')
  }
  const specs = versions.map((entry: unknown, index): VersionSpec => {
    const at = `versions[${index}]`
    const { version, file, digest, labels = [] } = fieldsOf(entry, at, ['version', 'file', 'digest', 'labels'], refuse)
    if (!isWord(version)) return refuse(`${at}.version is no text`, 'write a name such as "v2"')
    if (!isWord(file)) return refuse(`${at}.file is no text`, 'write the path of an ONNX file')
    if (digest !== undefined && !(isWord(digest) && /^sha256:[0-9a-f]{64}$/.test(digest))) {
      return refuse(`${at}.digest is no digest`, 'write sha256: and 64 lower-case hexadecimal digits, or leave it out')
    }
    if (!Array.isArray(labels) || !labels.every(isWord)) {
      return refuse(`${at}.labels is no list of texts`, 'write ["stable"], or leave it out')
    }
    return { version, file, digest, labels }
  })
  const names = specs.flatMap(({ version, labels }) => [version, ...labels])
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return refuse(`${twice} names two things`, 'give every version and label a name of its own')
  if (!isWord(current) || !specs.some(({ version }) => version === current)) {
    return refuse(
      'current names none of the versions',
      `write one of ${specs.map(({ version }) => version).join(', ')}`,
    )
  }
  return { current, versions: specs }
}

/** @throws Fault `BadVersionsFile` when it cannot be read */
export async function readVersions(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fault('BadVersionsFile', {
      path,
      problem: wordsOf(error),
      remedy: 'mount it, or correct SLIPWAY_VERSIONS_FILE',
    })
  }
}

/**
 * Reads the file again and again, and tells when it changed. A mounted ConfigMap changes by swapping a link, which
 * watching the file would miss.
 * @param changed called with the new text; never while it is still at the last one
 * @param failed called once whenever the file becomes unreadable
 * @returns a function that ends it
 */
export function watchText(
  path: string,
  known: string,
  changed: (text: string) => Promise<void>,
  failed: (error: unknown) => void,
  everyMs = 1000,
): () => void {
  let last: string | undefined = known
  let busy = false
  const look = async (): Promise<void> => {
    if (busy) return
    busy = true
    try {
      const text = await readFile(path, 'utf8').catch((error: unknown) => {
        if (last !== undefined) failed(error)
        return undefined
      })
      const before = last
      last = text
      if (text !== undefined && text !== before) await changed(text)
    } finally {
      busy = false
    }
  }
  const timer = setInterval(() => void look(), everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

type Fields = Readonly<Record<string, unknown>>

function fieldsOf(
  value: unknown,
  what: string,
  known: readonly string[],
  refuse: (problem: string, remedy: string) => never,
): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(`${what} is no object`, `write one with ${known.join(', ')}`)
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown !== undefined) return refuse(`${what} has the field ${unknown}`, `use ${known.join(', ')}`)
  return value as Fields
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== ''
}
