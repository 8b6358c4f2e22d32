/**
 * The certificate of the server, read from files and read again when they change, as a mounted Secret does.
 * A pair that does not fit changes nothing: a rotation is two files, and half of one must not end the service.
 */
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { fault, wordsOf } from './errors.ts'

export interface TlsFiles {
  readonly certificate: string
  readonly key: string
}

export interface Identity {
  readonly cert: string
  readonly key: string
}

/** What takes a new certificate: the servers of node:https and node:tls. */
export interface Secured {
  setSecureContext(identity: Identity): void
}

/** @throws Fault `BadConfiguration` when a file cannot be read or they do not belong together */
export async function readIdentity({ certificate, key }: TlsFiles): Promise<Identity> {
  try {
    const identity = { cert: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') }
    // Node takes an empty text for none at all, and would serve without a certificate, which nobody can talk to.
    if (identity.cert === '') throw new Error('the certificate is empty')
    if (identity.key === '') throw new Error('the key is empty')
    createSecureContext(identity)
    return identity
  } catch (error) {
    throw fault('BadConfiguration', {
      problem: `the certificate ${certificate} and the key ${key} cannot be used: ${wordsOf(error)}`,
      remedy: 'mount a PEM certificate chain and the PEM key that belongs to it',
    })
  }
}

/**
 * Reads the files again and again, and gives every server the new pair when it changed and fits.
 * @param told called with what happened: `undefined` after a change, or why a changed pair is not used
 */
export function followIdentity(
  files: TlsFiles,
  known: Identity,
  servers: readonly Secured[],
  told: (error: unknown) => void,
  everyMs = 1000,
): void {
  let last = known
  let complained = ''
  const look = async (): Promise<void> => {
    try {
      const found = await readIdentity(files)
      complained = ''
      if (found.cert === last.cert && found.key === last.key) return
      last = found
      for (const server of servers) server.setSecureContext(found)
      told(undefined)
    } catch (error) {
      const words = wordsOf(error)
      if (words !== complained) told(error)
      complained = words
    }
  }
  let busy = false
  setInterval(() => {
    if (busy) return
    busy = true
    void look().finally(() => (busy = false))
  }, everyMs).unref()
}
