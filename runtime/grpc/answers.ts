/**
 * What every answer carries beside its message: the revision that gave it, and the client's own request id.
 */
import { Metadata, type StatusObject } from '@grpc/grpc-js'
import type { FaultReport } from '../errors.ts'
import { revisionHeader } from '../http/answer.ts'
import type { Models } from '../models.ts'
import { statusOf } from './status.ts'

const requestIdHeader = 'x-request-id'

/** What is used of a call of any kind. */
interface Call {
  readonly metadata: Metadata
  sendMetadata(metadata: Metadata): void
}

export class Answers {
  readonly #plain = new Metadata()
  readonly #models: Models

  constructor(revision: string, models: Models) {
    this.#plain.set(revisionHeader, revision)
    this.#models = models
  }

  /** Sends the head of an answer that succeeds; a failed one has no head of its own, its status says it all. */
  begin(call: Call): void {
    call.sendMetadata(this.#metadataFor(call.metadata))
  }

  failure({ metadata }: Pick<Call, 'metadata'>, report: FaultReport): StatusObject {
    return this.refusal(metadata, report)
  }

  /** The status of a call that failed before it was one. @param metadata what the client sent */
  refusal(metadata: Metadata, report: FaultReport): StatusObject {
    const retryAfterSeconds = this.#models.current?.scheduler.retryAfterSeconds ?? 1
    return statusOf(report, this.#metadataFor(metadata), retryAfterSeconds * 1000)
  }

  #metadataFor(sent: Metadata): Metadata {
    const [id] = sent.get(requestIdHeader)
    if (id === undefined) return this.#plain
    const metadata = this.#plain.clone()
    metadata.set(requestIdHeader, id)
    return metadata
  }
}
