/**
 * How much memory requests may take before they are answered. A client that sends what it may must not get the container
 * killed, and everybody's requests with it. Pure.
 */

/** In bytes. */
export interface BodyLimits {
  /** The largest body. */
  readonly largest: number
  /** All bodies that are held at once; one of the largest size always has room. */
  readonly together: number
  /** Memory of bodies that lies ready for the next ones: a hundred images. */
  readonly spare: number
}

const mib = 2 ** 20
const unlimited = 2 ** 30
const mostSpare = 64 * mib
/** What the runtime takes with a small model under load (docs/decisions/0342). */
const ownBytes = 160 * mib
/** A body is there once as it came, once as text or numbers, once more in its answer, and one before it goes just now. */
const copies = 4

/**
 * @param maxBodyBytes the largest body that was asked for
 * @param limitBytes the container's memory limit; undefined for none
 */
export function bodyLimits(maxBodyBytes: number, limitBytes: number | undefined): BodyLimits {
  const together =
    limitBytes === undefined
      ? Math.max(maxBodyBytes, unlimited)
      : Math.floor(Math.min(limitBytes / 4, Math.max(limitBytes / 16, (limitBytes - ownBytes) / copies)))
  return { largest: Math.min(maxBodyBytes, together), together, spare: Math.min(mostSpare, together / 4) }
}
