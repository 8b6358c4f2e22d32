/**
 * Traces of requests, sent to an OpenTelemetry collector (OTLP over HTTP) in batches. Spans are made when a request is
 * over, from the times that were taken anyway: a request that is not traced pays nothing.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/http/http-spans/
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Context } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { Finished } from './observer.ts'
import type { TraceParent } from './traceparent.ts'

export interface Tracer {
  /** Records the spans of a request. `endedMs` is in milliseconds of `performance.now`, like its start. */
  record(request: Finished, endedMs: number, parent: TraceParent | undefined): void
  /** Sends what is left, if the collector takes it soon. */
  close(): Promise<void>
}

export interface TracerOptions {
  /** The collector's address, such as `http://collector:4318/v1/traces`. */
  readonly url: string
  readonly model: string
  readonly revision: string
  readonly serverVersion: string
}

/** The longest wait for a collector at the end, in milliseconds. */
const closeMs = 2000

export function createTracer({ url, model, revision, serverVersion }: TracerOptions): Tracer {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'slipway-runtime',
      'service.version': serverVersion,
      'slipway.model': model,
      'slipway.revision': revision,
    }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url }))],
  })
  const tracer = provider.getTracer('slipway-runtime')
  return {
    record(request, endedMs, parent) {
      const { method, path, status, startedMs, settled, version } = request
      const root = tracer.startSpan(
        `${method} infer`,
        {
          kind: SpanKind.SERVER,
          startTime: dateOf(startedMs),
          attributes: {
            'http.request.method': method,
            'http.response.status_code': status,
            'url.path': path,
            ...(version === undefined ? {} : { 'slipway.version': version }),
            ...(settled === undefined ? {} : { 'slipway.batch_size': settled.batchSize }),
          },
        },
        contextOf(parent),
      )
      if (status >= 500) root.setStatus({ code: SpanStatusCode.ERROR })
      const within = trace.setSpan(ROOT_CONTEXT, root)
      for (const { name, fromMs, toMs } of partsOf(request, endedMs)) {
        tracer.startSpan(name, { startTime: dateOf(fromMs) }, within).end(dateOf(toMs))
      }
      root.end(dateOf(endedMs))
    },
    async close() {
      // Nobody waits for a collector that does not answer, and a lost trace is no failed drain.
      await Promise.race([provider.shutdown().catch(() => undefined), sleep(closeMs, undefined, { ref: false })])
    },
  }
}

interface Part {
  readonly name: 'queue' | 'decode' | 'infer' | 'encode'
  readonly fromMs: number
  readonly toMs: number
}

/**
 * The parts that a request's time is known for, laid end to end so that the last ends with the request. In a shared run
 * the neighbours' decoding lies in between, so a part may lie a little late; its length is right.
 */
export function partsOf({ settled, startedMs }: Finished, endedMs: number): readonly Part[] {
  if (settled === undefined) return []
  const { waitMs, decodeMs, runMs, encodeMs } = settled
  let at = Math.max(startedMs, endedMs - waitMs - decodeMs - runMs - encodeMs)
  const lengths = { queue: waitMs, decode: decodeMs, infer: runMs, encode: encodeMs }
  return (['queue', 'decode', 'infer', 'encode'] as const).flatMap((name) => {
    const fromMs = at
    at += lengths[name]
    return lengths[name] > 0 ? [{ name, fromMs, toMs: at }] : []
  })
}

function contextOf(parent: TraceParent | undefined): Context {
  if (parent === undefined) return ROOT_CONTEXT
  const { traceId, spanId } = parent
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true })
}

/** Milliseconds of `performance.now` as a time of day, which is what the SDK wants for spans made afterwards. */
function dateOf(ms: number): Date {
  return new Date(performance.timeOrigin + ms)
}
