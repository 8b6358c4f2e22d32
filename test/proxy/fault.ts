// What can go wrong between an operator and its API server, as data. The proxy plays it; nothing here does.
import type { Asked } from './asked.ts'

/** Played instead of, or around, one request. */
export type RequestFault =
  /** Answered by the proxy itself; the server never sees the request. */
  | { readonly fault: 'status'; readonly code: number; readonly retryAfterSeconds?: number; readonly message?: string }
  /** Answered by something that is no API server. */
  | { readonly fault: 'answer'; readonly code: number; readonly body: string; readonly contentType?: string }
  /** Handed on so much later. */
  | { readonly fault: 'delay'; readonly ms: number }
  /** Handed on when this resolves. */
  | { readonly fault: 'hold'; readonly until: Promise<unknown> }
  /** The connection breaks before the server has seen the request. */
  | { readonly fault: 'reset' }
  /** The server has done it, and the connection breaks instead of the answer. */
  | { readonly fault: 'resetAfter' }
  /** Taken and never answered, also after the fault is over: the peer is gone and nobody says so. */
  | { readonly fault: 'halfOpen' }
  /** The server has done it, and no answer ever comes. */
  | { readonly fault: 'loseAnswer' }
  /** Headers come, and then nothing more. */
  | { readonly fault: 'headersOnly' }
  /** The body ends after so many bytes, with the connection. */
  | { readonly fault: 'truncate'; readonly bytes: number }
  | { readonly fault: 'slowBody'; readonly bytesPerSecond: number }

/** Played on the lines of a watch, also of one that is open already. */
export type EventFault =
  /** This line does not come. */
  | { readonly fault: 'dropEvent' }
  | { readonly fault: 'duplicateEvent' }
  /** It comes so much later, and what follows waits for it. */
  | { readonly fault: 'delayEvent'; readonly ms: number }
  /** Half of the line, then the next one. */
  | { readonly fault: 'malformEvent' }
  /** Half of the line, then the end of the body. */
  | { readonly fault: 'truncateEvent' }
  /** An ERROR event with 410 instead of the line, then the end. */
  | { readonly fault: 'goneEvent' }
  /** From this line on nothing comes any more, and the connection stays open, also after the fault is over. */
  | { readonly fault: 'silence' }

export type Fault = RequestFault | EventFault

const eventFaults: ReadonlySet<string> = new Set<EventFault['fault']>([
  'dropEvent',
  'duplicateEvent',
  'delayEvent',
  'malformEvent',
  'truncateEvent',
  'goneEvent',
  'silence',
])

export const isEventFault = (fault: Fault): fault is EventFault => eventFaults.has(fault.fault)

/** When a fault is played. Of several rules the one that was added last decides. */
export interface Rule {
  readonly fault: Fault
  /** Which requests; all unless given. */
  readonly when?: (asked: Asked) => boolean
  /** How many matching ones pass before the first is hit; none unless given. */
  readonly skip?: number
  /** How many are hit; all unless given. */
  readonly times?: number
  /** Which share of them, from 0 to 1, by the proxy's seed; all unless given. */
  readonly share?: number
  /** Called when it was played; for `resetAfter` and `loseAnswer`, when the server has done what it was asked. */
  readonly onPlayed?: (asked: Asked) => void
}

/** Rules of one kind of fault, with how often each may still be hit. */
export class Rules {
  readonly #random: () => number
  #playing: { readonly rule: Rule; skip: number; left: number }[] = []
  /** How often each fault was begun. */
  readonly #begun = new Map<string, number>()

  constructor(random: () => number) {
    this.#random = random
  }

  /** @returns takes the rule away again */
  add(rule: Rule): () => void {
    const playing = { rule, skip: rule.skip ?? 0, left: rule.times ?? Infinity }
    this.#playing.unshift(playing)
    return () => {
      this.#playing = this.#playing.filter((one) => one !== playing)
    }
  }

  clear(): void {
    this.#playing = []
  }

  /** The rule that hits this request, which uses it up by one. */
  hit(asked: Asked): Rule | undefined {
    for (const playing of this.#playing) {
      const { rule } = playing
      if (playing.left <= 0 || rule.when?.(asked) === false) continue
      if (playing.skip > 0) {
        playing.skip -= 1
        continue
      }
      if (rule.share !== undefined && this.#random() >= rule.share) continue
      playing.left -= 1
      const { fault } = rule.fault
      this.#begun.set(fault, this.begun(fault) + 1)
      return rule
    }
    return undefined
  }

  /** How often this fault was begun, by whichever rule. */
  begun(fault: Fault['fault']): number {
    return this.#begun.get(fault) ?? 0
  }
}
