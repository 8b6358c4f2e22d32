/**
 * What every answer carries beside its message: the revision that gave it, and the client's own request id.
 */
import { Metadata, type StatusObject } from '@grpc/grpc-js'
import type { FaultReport } from '../errors.ts'
import { revisionHeader } from '../http/answer.ts'
import { statusOf } from './status.ts'

const requestIdHeader = 'x-request-id'

/** What is used of a call of any kind. */
interface Call {
  readonly metadata: Metadata
  sendMetadata(metadata: Metadata): void
}

export class Answers {
  readonly #plain = new Metadata()
  readonly #retryAfterMs: () => number

  /** @param retryAfterMs when a client that is turned away may find room */
  constructor(revision: string, retryAfterMs: () => number) {
    this.#plain.set(revisionHeader, revision)
    this.#retryAfterMs = retryAfterMs
  }

  /** Sends the head of an answer that succeeds; a failed one has no head of its own, its status says it all. */
  begin(call: Call): void {
    call.sendMetadata(this.#metadataFor(call))
  }

  failure(call: Call, report: FaultReport): StatusObject {
    return statusOf(report, this.#metadataFor(call), this.#retryAfterMs())
  }

  #metadataFor(call: Call): Metadata {
    const [id] = call.metadata.get(requestIdHeader)
    if (id === undefined) return this.#plain
    const metadata = this.#plain.clone()
    metadata.set(requestIdHeader, id)
    return metadata
  }
}
