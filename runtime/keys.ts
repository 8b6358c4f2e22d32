/**
 * The API keys of a server: a file of one key a line, followed while it changes, as a mounted Secret does.
 * It must never write a key anywhere.
 */
import { readFile } from 'node:fs/promises'
import { Access } from './access.ts'
import type { Config } from './config.ts'
import { watchText } from './desired.ts'
import { fault, wordsOf } from './errors.ts'
import { errorFields, type Log } from './log.ts'

/** Who may ask; undefined when everybody may, as much as they like. @throws Fault for a file without keys */
export async function openAccess(
  { apiKeysFile, clientMaxRequests: maxPerClient, clientHeader }: Config,
  log: Log,
): Promise<Access | undefined> {
  if (apiKeysFile === undefined && maxPerClient === undefined) return undefined
  const access = new Access({ maxPerClient, clientHeader })
  if (apiKeysFile === undefined) return access
  const action = { 'event.action': 'keys' }
  const use = (text: string): void => access.useKeys(parseKeys(text, apiKeysFile))
  const text = await readFile(apiKeysFile, 'utf8').catch((error: unknown) => {
    const problem = `the keys in ${apiKeysFile} cannot be read: ${wordsOf(error)}`
    throw fault('BadConfiguration', { problem, remedy: 'mount the file, or correct SLIPWAY_API_KEYS_FILE' })
  })
  use(text)
  const complain = (error: unknown): void =>
    void log.error('the API keys stay as they are', { ...action, ...errorFields(error) })
  const changed = async (found: string): Promise<void> => {
    try {
      use(found)
      log.info('the API keys were read again', action)
    } catch (error) {
      complain(error)
    }
  }
  watchText(apiKeysFile, text, changed, complain)
  return access
}

/** The keys of a file, one a line; empty lines and those that begin with # are left out. */
export function parseKeys(text: string, path: string): readonly string[] {
  const keys = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length === 0) {
    throw fault('BadConfiguration', { problem: `${path} holds no key`, remedy: 'write one key a line into it' })
  }
  const short = keys.findIndex((key) => key.length < leastKeyLength)
  if (short !== -1) {
    const problem = `key ${short + 1} of ${path} has fewer than ${leastKeyLength} characters`
    throw fault('BadConfiguration', { problem, remedy: 'write a longer one, such as openssl rand -hex 32 gives' })
  }
  return keys
}

/** Shorter keys are guessed. */
const leastKeyLength = 16
