/**
 * The hot path: one inference request from its head to the end of its answer.
 * It must answer exactly once, release what it reserved, and leave the queue when its client is gone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodyMemory } from '../bodymemory.ts'
import { Fault, fault, reportOf, type FaultReport } from '../errors.ts'
import type { Metrics } from '../metrics.ts'
import type { Observer } from '../observer.ts'
import type { Settled } from '../scheduling/scheduler.ts'
import type { Wire } from '../protocols/codecs.ts'
import { urgencyOf, type Urgency } from '../protocols/schedule.ts'
import { tensorOffset, wireOf, type Protocol } from '../protocols/wire.ts'
import type { LiveVersion } from '../version.ts'
import { closeIfDue, errorBody, revisionHeader, sendBytes, stamp, type Answering } from './answer.ts'
import { announcedLength, ClientGone, discardRest, readBody } from './body.ts'
import { codingOf, compress, negotiate } from './encoding.ts'

/** What HTTP servers conventionally log for a request whose client went away. */
const clientGoneStatus = 499

export interface Inference {
  readonly metrics: Metrics
  readonly observer: Observer
  readonly answering: Answering
  readonly maxBodyBytes: number
  readonly memory: BodyMemory
  /** Called with a failure that is a bug, not a user's mistake. */
  readonly onBug: (error: unknown) => void
}

/** Answers a request for a version that exists and is loaded. */
export async function infer(
  request: IncomingMessage,
  response: ServerResponse,
  served: LiveVersion,
  protocol: Protocol,
  context: Inference,
): Promise<void> {
  const { metrics, answering, maxBodyBytes, memory, onBug } = context
  const { scheduler, statistics, version } = served
  const started = performance.now()
  let settled: Settled | undefined
  const finish = (status: number): void => finished(request, status, context, { started, settled, version })
  const refuseWith = (report: FaultReport): void =>
    refuse(request, response, report, context, {
      protocol,
      started,
      settled,
      version,
      retryAfterSeconds: scheduler.retryAfterSeconds,
    })
  const wire = wireOf(protocol, request.headers)
  const coding = codingOf(request.headers['content-encoding'])
  if (wire instanceof Fault) return refuseWith(wire)
  if (coding instanceof Fault) return refuseWith(coding)
  const refused = announcedLength(request) === 0 ? noBody(protocol) : scheduler.refusal()
  if (refused !== undefined) return refuseWith(refused)
  let reserved = 0
  /** Whether the answer is on its way, and counts when it has been sent. */
  let answered = false
  /** Nobody else has an answer's memory when it has been sent, or will not be, but for one that is kept. */
  const spent = (): void => {
    if (settled?.ok === true && settled.recalled !== true) memory.give(settled.body.buffer)
  }
  try {
    const body = await readBody(request, {
      maxBytes: maxBodyBytes,
      coding,
      aligned: tensorOffset(wire),
      reservations: scheduler,
      memory,
    })
    reserved = body.reserved
    if (response.destroyed) {
      // It went away while the last of its body was being decompressed: its `close` is over and will not come again.
      scheduler.release(reserved)
      return finish(clientGoneStatus)
    }
    const job = served.submit(wire, body.bytes, urgency(wire, body.bytes))
    const onClose = (): void => {
      job.cancel()
      scheduler.release(reserved)
      reserved = 0
      if (response.writableFinished) {
        if (answered) finish(200)
        return spent()
      }
      // A body that still waited has left the line; one that a worker has is not in this thread any more.
      if (settled === undefined) memory.give(body.bytes.buffer)
      statistics.canceled()
      finish(clientGoneStatus)
    }
    // It comes once, after the last byte of the answer or when the client goes.
    response.on('close', onClose)
    const outcome = await job.settled
    settled = outcome
    metrics.inference(outcome)
    statistics.record(outcome)
    if (response.destroyed) return spent()
    if (!outcome.ok) return refuseWith(outcome.fault)
    const answerCoding = negotiate(request.headers['accept-encoding'], outcome.body.byteLength)
    const answer = answerCoding === undefined ? outcome.body : await compress(answerCoding, outcome.body)
    if (response.destroyed) return spent()
    answered = true
    closeIfDue(response, answering)
    // Node writes headers that come all at once as they are; those set one by one it checks and copies.
    return sendBytes(
      response,
      200,
      answer,
      answerCoding === undefined
        ? { ...outcome.headers, [revisionHeader]: answering.revision }
        : {
            ...outcome.headers,
            [revisionHeader]: answering.revision,
            'content-encoding': answerCoding,
            vary: 'accept-encoding',
          },
    )
  } catch (error) {
    if (error instanceof ClientGone) return finish(clientGoneStatus)
    if (!(error instanceof Fault)) onBug(error)
    return refuseWith(reportOf(error))
  }
}

/** What is known of a request when it ends. */
interface Known {
  /** When the request came, in milliseconds of `performance.now`. */
  readonly started: number
  readonly settled?: Settled | undefined
  readonly version?: string
}

export interface Refusing extends Known {
  readonly protocol: Protocol
  readonly retryAfterSeconds?: number
}

/**
 * Answers with an error, in a way that a client still busy sending its body can read.
 */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  report: FaultReport,
  context: Inference,
  { protocol, retryAfterSeconds = 1, ...known }: Refusing,
): void {
  stamp(response, context.answering)
  response.once('finish', () => finished(request, report.status, context, known))
  const body = Buffer.from(JSON.stringify(errorBody(report, protocol)))
  const headers: Record<string, string | number> = {
    'content-type': 'application/json',
    'content-length': body.byteLength,
  }
  if (report.code === 'QueueFull' || report.code === 'NotReady' || report.status === 429)
    headers['retry-after'] = retryAfterSeconds
  if (request.complete) {
    response.writeHead(report.status, headers).end(body)
    return
  }
  // Refusals are most of the answers of a server that has too much to do: a new connection for each would be more work.
  const isShort = (announcedLength(request) ?? Infinity) <= shortBytes
  if (!isShort) response.shouldKeepAlive = false
  response.writeHead(report.status, headers).write(body)
  discardRest(request, () => {
    response.end()
    if (isShort && !request.complete) request.socket.destroySoon()
  })
}

/** A body up to this size is read to its end although its request is refused, so that the connection can stay. */
const shortBytes = 64 * 1024

/** Counts a request that is over, and shows it to whoever looks at a sample. */
function finished(
  { method = '', url = '', headers }: IncomingMessage,
  status: number,
  { metrics, observer }: Inference,
  { started, settled, version }: Known,
): void {
  metrics.request(status, performance.now() - started)
  const query = url.indexOf('?')
  const { traceparent } = headers
  observer.finished({
    method,
    path: query === -1 ? url : url.slice(0, query),
    status,
    startedMs: started,
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
    userAgent: headers['user-agent'],
    settled,
    version,
  })
}

function noBody(protocol: Protocol): Fault {
  if (protocol === 'v1') return fault('V1BodyMissing', {})
  return protocol === 'torchserve' ? fault('TorchServeBodyMissing', {}) : fault('BodyMissing', {})
}

/** Only requests of the Open Inference Protocol have a priority and a deadline. */
function urgency(wire: Wire, body: Uint8Array): Urgency {
  if (wire.codec !== 'oip-rest' || wire.event === 'structured') return {}
  return urgencyOf(body.subarray(0, wire.options.headerLength))
}
