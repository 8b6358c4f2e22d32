/**
 * Memory of request bodies, used again: what a worker is done with takes the next body. Fresh memory for each large body
 * costs more than reading it, because the kernel clears every page, V8 clears it once more and then has to collect it.
 * What is taken holds bytes of earlier requests: whoever takes it must write all that anybody will read of it.
 */

/** Smaller bodies are not worth the way back, in bytes. */
export const leastReused = 64 * 1024

/**
 * Sizes are rounded up to this, so that bodies of nearly one size can follow each other, in bytes. By its size, memory that
 * comes back is known as a body's: on its way through a worker it becomes another object.
 */
const granule = 64 * 1024

export class BodyMemory {
  readonly #maxBytes: number
  /** The last given is taken first: caches may still hold it. */
  readonly #free: ArrayBuffer[] = []
  #freeBytes = 0

  /** @param maxBytes how much may lie ready */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that lie ready. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Memory of at least so many bytes, at most twice as many. Its content is anything when it is not small. */
  take(bytes: number): ArrayBuffer {
    if (bytes < leastReused) return new ArrayBuffer(bytes)
    for (let at = this.#free.length - 1; at >= 0; at--) {
      const found = this.#free[at]
      if (found === undefined || found.byteLength < bytes || found.byteLength > 2 * bytes) continue
      this.#free.splice(at, 1)
      this.#freeBytes -= found.byteLength
      return found
    }
    // It comes uncleared, and owns its memory alone, so that it can be transferred.
    return Buffer.allocUnsafeSlow(Math.ceil(bytes / granule) * granule).buffer
  }

  /**
   * Gives memory back that nobody looks at any more. Bodies' memory is kept; answers have theirs in sizes that no body asks for,
   * and would fill this to its limit. What is not kept is free at once, and what lies longest makes room: garbage of this
   * size would wait for a collection of the whole heap.
   */
  give(memory: ArrayBuffer): void {
    if (memory.byteLength < leastReused) return
    if (memory.byteLength % granule !== 0) {
      memory.transfer(0)
      return
    }
    this.#free.push(memory)
    this.#freeBytes += memory.byteLength
    while (this.#freeBytes > this.#maxBytes) {
      const oldest = this.#free.shift()
      this.#freeBytes -= oldest?.byteLength ?? 0
      oldest?.transfer(0)
    }
  }
}
