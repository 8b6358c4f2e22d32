/**
 * The hot path: one inference request from its head to the end of its answer.
 * It must answer exactly once, release what it reserved, and leave the queue when its client is gone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Fault, fault, reportOf, type FaultReport } from '../errors.ts'
import type { Metrics } from '../metrics.ts'
import type { LiveVersion } from '../version.ts'
import { sendBytes, stamp, type Answering } from './answer.ts'
import { announcedLength, ClientGone, discardRest, readBody } from './body.ts'

/** What HTTP servers conventionally log for a request whose client went away. */
const clientGoneStatus = 499

export interface Inference {
  readonly metrics: Metrics
  readonly answering: Answering
  readonly maxBodyBytes: number
  /** Called with a failure that is a bug, not a user's mistake. */
  readonly onBug: (error: unknown) => void
}

/** Answers a request for a version that exists and is loaded. */
export async function infer(
  request: IncomingMessage,
  response: ServerResponse,
  { scheduler }: LiveVersion,
  context: Inference,
): Promise<void> {
  const { metrics, answering, maxBodyBytes, onBug } = context
  const started = performance.now()
  const refuseWith = (report: FaultReport): void =>
    refuse(request, response, report, context, started, scheduler.retryAfterSeconds)
  const refused = preconditions(request) ?? scheduler.refusal()
  if (refused !== undefined) {
    refuseWith(refused)
    return
  }
  let reserved = 0
  try {
    const body = await readBody(request, maxBodyBytes, scheduler)
    reserved = body.reserved
    const job = scheduler.submit({ codec: 'oip-rest', options: { headerLength: undefined } }, body.bytes)
    const onClose = (): void => {
      job.cancel()
      scheduler.release(reserved)
      reserved = 0
      if (!response.writableFinished) metrics.request(clientGoneStatus, performance.now() - started)
    }
    response.once('close', onClose)
    const outcome = await job.settled
    metrics.inference(outcome.waitMs, outcome.runMs)
    if (response.destroyed) return
    if (!outcome.ok) {
      refuseWith(outcome.fault)
      return
    }
    response.once('finish', () => metrics.request(200, performance.now() - started))
    stamp(response, answering)
    sendBytes(response, 200, outcome.body, outcome.headers)
  } catch (error) {
    if (error instanceof ClientGone) {
      metrics.request(clientGoneStatus, performance.now() - started)
      return
    }
    if (!(error instanceof Fault)) onBug(error)
    refuseWith(reportOf(error))
  }
}

/**
 * Answers with an error, in a way that a client still busy sending its body can read.
 */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  report: FaultReport,
  { metrics, answering }: Inference,
  started: number,
  retryAfterSeconds = 1,
): void {
  stamp(response, answering)
  response.once('finish', () => metrics.request(report.status, performance.now() - started))
  const body = Buffer.from(JSON.stringify({ error: report.message }))
  const headers: Record<string, string | number> = {
    'content-type': 'application/json',
    'content-length': body.byteLength,
  }
  if (report.code === 'QueueFull' || report.code === 'NotReady') headers['retry-after'] = retryAfterSeconds
  if (request.complete) {
    response.writeHead(report.status, headers).end(body)
    return
  }
  response.shouldKeepAlive = false
  response.writeHead(report.status, headers).write(body)
  discardRest(request, () => response.end())
}

function preconditions(request: IncomingMessage): Fault | undefined {
  const { headers } = request
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') return fault('BodyEncoded', { encoding })
  if (announcedLength(request) === 0) return fault('BodyMissing', {})
  return undefined
}
