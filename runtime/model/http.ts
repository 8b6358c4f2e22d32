/**
 * Fetches a file over HTTP into a PartialFile: redirects, silence, cut connections and retries are dealt with here.
 * It must never wait without a limit, retry what cannot get better, or mix bytes of two different files.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, errors, request, type Dispatcher } from 'undici'
import { codeOf, Fault, fault, wordsOf } from '../errors.ts'
import type { PartialFile } from './partial.ts'
import { printUrl } from './uri.ts'

export interface HttpOptions {
  /** The longest silence while connecting, answering or sending, in milliseconds. */
  readonly timeoutMs: number
  /** Tries in a row that bring no new byte. */
  readonly attempts: number
  /** The first pause between tries; it doubles each time. */
  readonly backoffMs?: number
  readonly onRetry?: (reason: string, attempt: number) => void
  readonly signal?: AbortSignal
}

const maxRedirects = 5
/** However much each try brings, a server that cuts every connection must not keep us for ever. */
const maxTries = 100
const maxBackoffMs = 8000

/** A failure that may pass: the next try might succeed. */
class Transient extends Error {}

/** @throws Fault for everything that a user has to know */
export async function fetchHttp(url: URL, part: PartialFile, options: HttpOptions): Promise<void> {
  const { timeoutMs, attempts, backoffMs = 500, onRetry, signal } = options
  const agent = new Agent({
    connect: { timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: 65_536,
  })
  /** What proves on the next try that the rest belongs to the bytes we have. */
  let validator: string | undefined
  let failures = 0
  try {
    for (let tries = 1; ; tries++) {
      const { size, restarts } = part
      try {
        // oxlint-disable-next-line no-await-in-loop -- tries follow one another
        await fetchOnce(url, part, agent, validator, signal, (found) => (validator = found))
        return
      } catch (error) {
        if (signal?.aborted === true) throw error
        const reason = transientReason(error)
        if (reason === undefined) throw error
        // Bytes fetched a second time are no progress.
        failures = part.size > size && part.restarts === restarts ? 1 : failures + 1
        if (failures >= attempts || tries >= maxTries) {
          throw fault('Unreachable', { url: printUrl(url), reason, attempts: tries })
        }
        onRetry?.(reason, tries)
        // oxlint-disable-next-line no-await-in-loop -- a pause between tries
        await sleep(Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1)), undefined, signal ? { signal } : {})
      }
    }
  } finally {
    await agent.destroy()
  }
}

async function fetchOnce(
  url: URL,
  part: PartialFile,
  dispatcher: Agent,
  validator: string | undefined,
  signal: AbortSignal | undefined,
  keepValidator: (validator: string | undefined) => void,
): Promise<void> {
  // Without a validator nobody can say whether the file has changed in between, so it is fetched from the start.
  if (validator === undefined && part.size > 0) await part.restart()
  const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'slipway-runtime' }
  if (validator !== undefined && part.size > 0) {
    headers['range'] = `bytes=${part.size}-`
    headers['if-range'] = validator
  }
  const { response, from } = await follow(url, headers, dispatcher, signal)
  try {
    checkStatus(response, from)
    const encoding = header(response, 'content-encoding')
    if (encoding !== undefined && encoding !== 'identity') {
      throw fault('EncodedAnswer', { url: printUrl(from), encoding })
    }
    if (response.statusCode === 206) checkRange(response, part.size)
    else if (part.size > 0) await part.restart()
    keepValidator(strongValidator(response))
    const length = header(response, 'content-length')
    const total = length === undefined ? undefined : part.size + Number(length)
    if (total !== undefined) await part.expect(total)
    for await (const chunk of response.body) {
      if (!(chunk instanceof Uint8Array)) throw new Error('the HTTP client gave a chunk that is no bytes')
      await part.append(chunk)
    }
    if (total !== undefined && part.size < total)
      throw new Transient('the connection ended before the file was complete')
  } finally {
    response.body.on('error', () => {
      // Destroying a body that is still arriving reports that as an error; the reason has been thrown already.
    })
    response.body.destroy()
  }
}

/** Sends the request and follows redirects by hand, because each target must be an address we accept. */
async function follow(
  url: URL,
  headers: Record<string, string>,
  dispatcher: Agent,
  signal: AbortSignal | undefined,
): Promise<{ response: Dispatcher.ResponseData; from: URL }> {
  let from = url
  for (let redirects = 0; redirects <= maxRedirects; redirects++) {
    // oxlint-disable-next-line no-await-in-loop -- every redirect names the next address
    const response = await request(from, { dispatcher, headers, ...(signal === undefined ? {} : { signal }) })
    const location = header(response, 'location')
    if (![301, 302, 303, 307, 308].includes(response.statusCode) || location === undefined) return { response, from }
    // oxlint-disable-next-line no-await-in-loop -- the connection is free again only when the body is read
    await response.body.dump({ limit: 65_536 })
    const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined
    if (target === undefined || !['http:', 'https:'].includes(target.protocol)) {
      throw fault('RedirectUnsupported', { url: printUrl(from), target: target ? printUrl(target) : location })
    }
    from = target
  }
  throw fault('TooManyRedirects', { url: printUrl(url), limit: maxRedirects })
}

function checkStatus({ statusCode }: Dispatcher.ResponseData, from: URL): void {
  if (statusCode === 200 || statusCode === 206) return
  const found = { url: printUrl(from), status: statusCode }
  if (statusCode === 404 || statusCode === 410) throw fault('HttpNotFound', found)
  if (statusCode === 401 || statusCode === 403) throw fault('HttpForbidden', found)
  // 416 means that the file has become shorter than what we have of it: the next try starts again.
  if (statusCode >= 500 || [408, 416, 425, 429].includes(statusCode)) {
    throw new Transient(`the server answered ${statusCode}`)
  }
  throw fault('HttpRefused', found)
}

function checkRange(response: Dispatcher.ResponseData, start: number): void {
  const range = header(response, 'content-range') ?? ''
  if (range.startsWith(`bytes ${start}-`)) return
  throw new Transient(`the server answered the range "${range}" when bytes ${start}- were asked for`)
}

/** An ETag or date that may stand in If-Range. Weak tags may not: they allow different bytes. */
function strongValidator(response: Dispatcher.ResponseData): string | undefined {
  const tag = header(response, 'etag')
  if (tag !== undefined && !tag.startsWith('W/')) return tag
  return header(response, 'last-modified')
}

function header({ headers }: Dispatcher.ResponseData, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** The words of a failure that may pass; undefined for one that will not. */
function transientReason(error: unknown): string | undefined {
  if (error instanceof Fault) return undefined
  if (error instanceof Transient) return error.message
  if (error instanceof errors.ConnectTimeoutError) return 'no connection could be made in time'
  if (error instanceof errors.HeadersTimeoutError) return 'the server took the connection and did not answer in time'
  if (error instanceof errors.BodyTimeoutError) return 'the server stopped sending in the middle of the file'
  if (error instanceof errors.SocketError) return 'the server cut the connection'
  const code = connectionCode(error)
  if (code === undefined) return undefined
  return code.startsWith('UND_ERR') || code.startsWith('HPE_') ? wordsOf(error) : systemReasons[code]
}

/** The code of a failed connection; one that tried several addresses fails with all their errors in one. */
function connectionCode(error: unknown): string | undefined {
  const several: unknown = typeof error === 'object' && error !== null && 'errors' in error ? error.errors : undefined
  return Array.isArray(several) && several.length > 0 ? connectionCode(several[0]) : codeOf(error)
}

const systemReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the host refuses the connection',
  ECONNRESET: 'the server reset the connection',
  EPIPE: 'the server closed the connection',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name could not be looked up',
  ETIMEDOUT: 'no connection could be made in time',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the network',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another host name',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate chain is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate cannot be verified',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the issuer of the certificate is not trusted here',
  EPROTO: 'the server does not speak TLS as expected',
}
