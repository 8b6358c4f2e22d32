/**
 * How much text one request may hold. Every text is an object of its own in V8's heap, on its way in and on its way out, and
 * V8 ends a thread whose heap is full: one request of many short texts must not do that to everybody's worker.
 * Requests are read one after another and in one go, so one account for each thread is enough.
 */
import { getHeapStatistics } from 'node:v8'
import { fault, printBytes } from '../errors.ts'

/** What a text takes on its way through, in bytes of the heap: measured, an empty one and back again (decision 0315). */
export const bytesOfText = 256
/** What each byte of a text takes: a string and its answer, up to two bytes a character. */
export const bytesOfByte = 3
/** The part of the heap that one request may take. The rest is for what is read beside it, and for garbage. */
const share = 0.4

export class TextRoom {
  readonly #limit: number
  #taken = 0

  /** @param limit bytes of the heap that the texts of one request may take */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The part of the limit that the request being read has taken: 0 to 1. */
  get used(): number {
    return this.#taken / this.#limit
  }

  /** A new request is read from here on. */
  begin(): void {
    this.#taken = 0
  }

  /**
   * Makes sure that so many texts fit, before anything is allocated for them.
   * @param field how messages name the tensor
   * @throws Fault TooMuchText
   */
  check(field: string, texts: number, bytes = 0): void {
    const taken = this.#taken + texts * bytesOfText + bytes * bytesOfByte
    if (taken <= this.#limit) return
    const limit = printBytes(this.#limit)
    throw fault('TooMuchText', { field, limit, eachText: bytesOfText, eachByte: bytesOfByte })
  }

  /** Counts texts. @throws Fault TooMuchText when they do not fit */
  take(field: string, texts: number, bytes: number): void {
    this.check(field, texts, bytes)
    this.#taken += texts * bytesOfText + bytes * bytesOfByte
  }
}

/** The account of this thread. */
export const textRoom = new TextRoom(getHeapStatistics().heap_size_limit * share)
