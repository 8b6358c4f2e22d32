/**
 * The header by which a caller says which trace a request belongs to. Pure.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export interface TraceParent {
  readonly traceId: string
  readonly spanId: string
  /** Whether the caller records this trace. */
  readonly sampled: boolean
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Undefined for a header that is not valid: the standard says to begin a new trace then. */
export function parseTraceParent(header: string): TraceParent | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] = form.exec(header.trim()) ?? []
  if (version === undefined || version === 'ff') return undefined
  // Version 00 ends here; later ones may go on.
  if (version === '00' && rest !== undefined) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}
