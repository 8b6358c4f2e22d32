// What one identity asked of the API server, from the server's own audit log: counted outside the operator.
import { open, stat } from 'node:fs/promises'

/** One request, as the audit log tells it. */
export interface Call {
  readonly verb: string
  /** `deployments.apps`, `modeldeployments.slipway.dev/status`. */
  readonly resource: string
  readonly name: string
  readonly code: number
  /** Which token it came with: each process has one of its own. */
  readonly credential: string
  readonly at: string
}

export interface Audit {
  /** Writes of the operator since this was opened, oldest first. Dry runs write nothing; the lease is renewed for ever. Neither counts. */
  writes(): Promise<Call[]>
}

const writeVerbs = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])
const credentialId = 'authentication.kubernetes.io/credential-id'

/** From now on. @param user the name that the API server knows the operator by */
export const openAudit = async (user: string): Promise<Audit> => {
  const file = process.env['SLIPWAY_TEST_AUDIT_LOG']
  if (file === undefined || file === '') {
    throw new Error('SLIPWAY_TEST_AUDIT_LOG does not name the audit log of the API server; these tests count in it')
  }
  const from = (await stat(file)).size
  return {
    writes: async () => {
      const text = await readFrom(file, from)
      const lines = text.split('\n').filter((line) => line.includes(user))
      return lines
        .map((line) => JSON.parse(line) as Entry)
        .flatMap((entry) => (isWriteOf(entry, user) ? [callOf(entry)] : []))
    },
  }
}

interface Entry {
  readonly stage: string
  readonly verb: string
  readonly requestURI: string
  readonly userAgent?: string
  readonly user: { readonly username: string; readonly extra?: Readonly<Record<string, readonly string[]>> }
  readonly objectRef?: {
    readonly resource?: string
    readonly apiGroup?: string
    readonly subresource?: string
    readonly name?: string
  }
  readonly responseStatus?: { readonly code?: number }
  readonly requestReceivedTimestamp: string
}

const isWriteOf = (entry: Entry, user: string): boolean =>
  entry.stage === 'ResponseComplete' &&
  entry.user.username === user &&
  entry.userAgent === 'slipway-operator' &&
  writeVerbs.has(entry.verb) &&
  entry.objectRef?.resource !== 'leases' &&
  !entry.requestURI.includes('dryRun=All')

const callOf = ({ verb, user, objectRef, responseStatus, requestReceivedTimestamp }: Entry): Call => {
  const { resource = '', apiGroup = '', subresource = '', name = '' } = objectRef ?? {}
  return {
    verb,
    resource: `${resource}${apiGroup === '' ? '' : `.${apiGroup}`}${subresource === '' ? '' : `/${subresource}`}`,
    name,
    code: responseStatus?.code ?? 0,
    credential: user.extra?.[credentialId]?.[0] ?? '',
    at: requestReceivedTimestamp,
  }
}

/** Whole lines only: the last one may still be on its way. */
const readFrom = async (file: string, from: number): Promise<string> => {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.max(0, size - from)), 0, size - from, from)
    const text = buffer.toString('utf8', 0, bytesRead)
    return text.slice(0, text.lastIndexOf('\n') + 1)
  } finally {
    await handle.close()
  }
}
