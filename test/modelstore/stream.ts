// A bounded load client: sends one inference request over and over and remembers every answer.
// It must count everything it sends: what is neither answered nor failed is a defect of this client.
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'

export interface StreamOptions {
  readonly url: string
  /** An Open Inference Protocol request. */
  readonly body: string
  /** Requests a second, however long answers take; 0 sends the next as soon as one is answered. */
  readonly rate: number
  readonly seconds: number
  /** Requests under way at once; beyond it a due request waits. */
  readonly concurrency: number
  /** Whether connections are used again; otherwise every request makes its own. */
  readonly keepAlive: boolean
  readonly timeoutMs: number
  /** Called for the first answer and whenever status, revision or version differ from the one before. */
  readonly onChange?: (answer: Answer) => void
}

export interface Answer {
  /** When the answer was complete. */
  readonly at: string
  /** How long after its request that was, in milliseconds. */
  readonly tookMs: number
  /** 0 when there was no answer. */
  readonly status: number
  readonly revision: string
  readonly version: string
  readonly error?: string
  /** It went out on a connection that another request had used, and that nobody may have been at the end of any more. */
  readonly onUsedConnection?: true
}

export interface Summary {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  /** Good answers by revision. */
  readonly byRevision: Readonly<Record<string, number>>
  /**
   * Every change from one answering revision to another, in the order in which the requests left: that of their
   * connections where each has its own. A name takes a lookup of its own for each, and a slow one is overtaken.
   */
  readonly transitions: readonly { readonly from: string; readonly to: string; readonly at: string }[]
  /** The longest time between two good answers. */
  readonly maxGapMs: number
  /** The first failures. */
  readonly failures: readonly Answer[]
  /** Of all failed requests, the one that was sent last. */
  readonly lastFailure?: Answer
}

export interface Stream {
  /** Sends nothing new; what is under way is still waited for. */
  stop(): void
  readonly done: Promise<Summary>
}

const maxFailuresKept = 50
/** How long an unused connection is kept, as Node's own agent and most clients bound it: behind one may be a lost machine. */
const idleMs = 5000

/** Starts to send at once. */
export function startStream(options: StreamOptions): Stream {
  const { rate, seconds, concurrency, keepAlive, onChange } = options
  const agent = new Agent({ keepAlive, maxSockets: concurrency, timeout: idleMs })
  const byRevision: Record<string, number> = {}
  /** Good answers by the place of their request among those that left: those under way at once may end in another order. */
  const answered: Answer[] = []
  const failures: Answer[] = []
  let [sent, left, ok, failed, underWay, maxGapMs] = [0, 0, 0, 0, 0, 0]
  let lastOkAt: number | undefined
  let lastFailure: Answer | undefined
  let lastShape = ''
  let stopped = false
  const started = performance.now()
  const { promise: done, resolve } = Promise.withResolvers<Summary>()

  const record = (answer: Answer, place: number): void => {
    const shape = `${answer.status} ${answer.revision} ${answer.version}`
    if (shape !== lastShape) onChange?.(answer)
    lastShape = shape
    if (answer.status !== 200 || answer.error !== undefined) {
      failed += 1
      if (lastFailure === undefined || sentAt(answer) > sentAt(lastFailure)) lastFailure = answer
      if (failures.length < maxFailuresKept) failures.push(answer)
      return
    }
    ok += 1
    byRevision[answer.revision] = (byRevision[answer.revision] ?? 0) + 1
    answered[place] = answer
    const now = performance.now()
    if (lastOkAt !== undefined) maxGapMs = Math.max(maxGapMs, now - lastOkAt)
    lastOkAt = now
  }
  const sendOne = async (): Promise<void> => {
    sent += 1
    underWay += 1
    let place = 0
    const answer = await ask(options, agent, () => (place = left++))
    record(answer, place)
    underWay -= 1
    pump()
  }
  const pump = (): void => {
    const elapsed = performance.now() - started
    if (elapsed >= seconds * 1000) stopped = true
    if (stopped) {
      if (underWay > 0) return
      clearInterval(timer)
      agent.destroy()
      resolve({
        sent,
        ok,
        failed,
        byRevision,
        transitions: transitionsOf(answered),
        maxGapMs: Math.round(maxGapMs),
        failures,
        ...(lastFailure && { lastFailure }),
      })
      return
    }
    const due = rate === 0 ? Infinity : 1 + Math.floor((elapsed / 1000) * rate)
    const room = Math.min(due - sent, concurrency - underWay)
    for (let i = 0; i < room; i++) void sendOne()
  }
  const timer = setInterval(pump, rate === 0 ? 100 : Math.max(1, Math.min(20, 500 / rate)))
  pump()
  return {
    stop() {
      stopped = true
      pump()
    },
    done,
  }
}

/** Milliseconds since the epoch. */
const sentAt = ({ at, tookMs }: Answer): number => Date.parse(at) - tookMs

/** Changes of revision along the answers; places without a good answer count for nothing. */
function transitionsOf(answered: readonly (Answer | undefined)[]): Summary['transitions'] {
  const good = answered.filter((answer) => answer !== undefined)
  return good.flatMap((answer, i) => {
    const before = good[i - 1]
    if (before === undefined || before.revision === answer.revision) return []
    return [{ from: before.revision, to: answer.revision, at: answer.at }]
  })
}

/**
 * Sends one request; every kind of failure becomes an answer with an error.
 *
 * @param onLeaving called once, when there is a connection for the request
 */
function ask({ url, body, keepAlive, timeoutMs }: StreamOptions, agent: Agent, onLeaving: () => void): Promise<Answer> {
  return new Promise((resolve) => {
    let [status, revision] = [0, '']
    const began = performance.now()
    const finish = (version: string, error?: string): void => {
      clearTimeout(timer)
      const tookMs = Math.round(performance.now() - began)
      resolve({
        at: new Date().toISOString(),
        tookMs,
        status,
        revision,
        version,
        ...(error === undefined ? {} : { error }),
        ...(request.reusedSocket ? { onUsedConnection: true } : {}),
      })
    }
    const request = httpRequest(
      url,
      {
        method: 'POST',
        agent,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...(keepAlive ? {} : { connection: 'close' }),
        },
      },
      (response) => {
        status = response.statusCode ?? 0
        revision = headerOf(response.headers, 'x-slipway-revision')
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', (error) => finish('', error.message))
        response.on('end', () => {
          const { version, error } = read(Buffer.concat(chunks).toString())
          finish(version, error)
        })
      },
    )
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    request.on('error', (error) => finish('', error.message))
    request.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', onLeaving)
      else onLeaving()
    })
    request.end(body)
  })
}

function headerOf(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name]
  return typeof value === 'string' ? value : ''
}

/** What an answer says: the version and an error, if it has one. */
function read(text: string): { version: string; error?: string } {
  try {
    const { model_version: version = '', error }: { model_version?: string; error?: string } = JSON.parse(text)
    return error === undefined ? { version } : { version, error }
  } catch {
    return { version: '', error: `the answer is no JSON: ${text.slice(0, 100)}` }
  }
}
