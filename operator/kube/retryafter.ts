// The Retry-After header: API servers write seconds, proxies on the way may write a date. Pure.

/**
 * How long the server asks us to wait, in milliseconds; undefined for what is neither seconds nor a date.
 * @param now milliseconds since the epoch, by which a date is read
 * @see RFC 9110, section 10.2.3
 */
export const parseRetryAfter = (value: string, now: number): number | undefined => {
  const text = value.trim()
  if (/^\d+$/.test(text)) return Number(text) * 1000
  const at = /^[A-Z][a-z]{2},? /.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}
