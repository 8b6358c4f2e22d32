/**
 * What one finished inference request leaves behind beside the metrics: a trace and a line of the access log, both of a
 * sample only, because either costs more than a small inference. It must cost next to nothing for all other requests.
 */
import type { Log } from './log.ts'
import type { Settled } from './scheduling/scheduler.ts'
import { parseTraceParent, type TraceParent } from './traceparent.ts'
import type { Tracer } from './tracing.ts'

/** A request that is over, however it came. */
export interface Finished {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The HTTP status; 499 when the client went away. gRPC's codes are translated. */
  readonly status: number
  /** When its head had arrived, in milliseconds of `performance.now`. */
  readonly startedMs: number
  /** The W3C `traceparent` that came with it. */
  readonly traceparent: string | undefined
  readonly userAgent: string | undefined
  /** What became of it in the scheduler; undefined when it was refused before. */
  readonly settled: Settled | undefined
  /** The version that it was for; undefined when there is none. */
  readonly version: string | undefined
}

export interface Observer {
  finished(request: Finished): void
}

export interface ObserverOptions {
  readonly log: Log
  /** The share of requests that get a line, from 0 to 1. */
  readonly accessLogRatio: number
  /** The share of requests without a decision of their caller that get a trace, from 0 to 1. */
  readonly traceRatio: number
  /** Undefined when nobody collects traces. */
  readonly tracer: Tracer | undefined
  readonly random?: () => number
  readonly now?: () => number
}

export function createObserver({
  log,
  accessLogRatio,
  traceRatio,
  tracer,
  random = Math.random,
  now = () => performance.now(),
}: ObserverOptions): Observer {
  return {
    finished(request) {
      const logged = accessLogRatio > 0 && random() < accessLogRatio
      if (tracer === undefined && !logged) return
      const endedMs = now()
      const parent = request.traceparent === undefined ? undefined : parseTraceParent(request.traceparent)
      if (tracer !== undefined && isTraced(parent)) tracer.record(request, endedMs, parent)
      if (logged) writeLine(log, request, endedMs, parent)
    },
  }

  /** Whoever began the trace decides; else the share does. */
  function isTraced(parent: TraceParent | undefined): boolean {
    return parent === undefined ? random() < traceRatio : parent.sampled
  }
}

/** @see https://www.elastic.co/docs/reference/ecs/ecs-http */
function writeLine(log: Log, request: Finished, endedMs: number, parent: TraceParent | undefined): void {
  const { method, path, status, startedMs, settled, userAgent, version } = request
  log.info(`${method} ${path} ${status}`, {
    'event.action': 'request',
    'event.dataset': 'slipway.access',
    'event.duration': Math.round((endedMs - startedMs) * 1e6),
    'http.request.method': method,
    'http.response.status_code': status,
    'url.path': path,
    ...(userAgent === undefined ? {} : { 'user_agent.original': userAgent }),
    ...(parent === undefined ? {} : { 'trace.id': parent.traceId }),
    ...(version === undefined ? {} : { 'model.version': version }),
    ...(settled === undefined
      ? {}
      : {
          'slipway.wait_ms': settled.waitMs,
          'slipway.run_ms': settled.runMs,
          'slipway.batch_size': settled.batchSize,
          ...(settled.ok ? {} : { 'error.code': settled.fault.code }),
        }),
  })
}
