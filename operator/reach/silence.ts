// Which pods are lost with their node, judged from who answers a knock and who does not. No I/O, and time is an argument.
// It must never judge by silence alone: without somebody else who answers, it is we who cannot hear.
import type { Place, Places } from './places.ts'

/** How long a node must have been silent. Three knocks fall into it, each with a SYN that the kernel repeats. */
const silentMs = 2000
/** A node that has been silent for this long is asked in full. */
const suspectMs = 1000
/** Places of a node that are asked in one round while it answers: those that have answered before, and one that has not. */
const askedPerNode = 2
/** Places of a node that are looked at for that in one round. */
const lookedAtPerNode = 8
/** A place that has not answered though its node does is behind a policy, or does not listen: so often it is tried. */
const triesAtMost = 3

/** What is known of one place. */
interface Heard {
  /** Whether it has ever answered. */
  readonly isKnown: boolean
  readonly firstAskedAt: number
  /** Knocks without an answer since the last one. */
  readonly unanswered: number
  /** It was taken out of its Services and has not answered since. Whoever put it back is believed. */
  readonly isOut: boolean
}

/** What is known of one node. */
interface Node {
  /** When one of its places answered last. */
  readonly answeredAt: number
  /** The place that is looked at next. */
  readonly cursor: number
}

/** Remembers who answered. Times are milliseconds that only rise. */
export class Listener {
  /** By uid. */
  readonly #places = new Map<string, Heard>()
  readonly #nodes = new Map<string, Node>()
  /** Silence counts from here on: before, nobody was listening. */
  #since: number

  constructor(now: number) {
    this.#since = now
  }

  /** This process slept, or was cut off: what was said meanwhile it cannot know. */
  begin(now: number): void {
    this.#since = now
    for (const [uid, heard] of this.#places) this.#places.set(uid, { ...heard, unanswered: 0 })
  }

  /** Forgets what is not there any more. */
  keepOnly({ byUid, byNode }: Places): void {
    for (const uid of this.#places.keys()) if (!byUid.has(uid)) this.#places.delete(uid)
    for (const node of this.#nodes.keys()) if (!byNode.has(node)) this.#nodes.delete(node)
  }

  /** Whom to ask in this round, noted as asked: some of each node in turn, all of a node that has gone silent. */
  ask({ byNode }: Places, now: number): readonly Place[] {
    const whom: Place[] = []
    for (const [node, here] of byNode) {
      const isSuspect = here.some((place) => this.#isKnown(place)) && this.#silenceMs(node, now) >= suspectMs
      whom.push(...(isSuspect ? here.filter((place) => this.#isWorthwhile(place)) : this.#next(node, here)))
    }
    for (const { uid } of whom)
      if (!this.#places.has(uid))
        this.#places.set(uid, { isKnown: false, firstAskedAt: now, unanswered: 0, isOut: false })
    return whom
  }

  /** An answer came, or none did within the time that a knock has. */
  hear({ uid, node }: Place, isAnswered: boolean, now: number): void {
    const heard = this.#places.get(uid)
    // It went while it was being asked.
    if (heard === undefined) return
    if (!isAnswered) {
      this.#places.set(uid, { ...heard, unanswered: heard.unanswered + 1 })
      return
    }
    this.#places.set(uid, { ...heard, isKnown: true, unanswered: 0, isOut: false })
    this.#nodes.set(node, { cursor: this.#nodes.get(node)?.cursor ?? 0, answeredAt: now })
  }

  /** The place was taken out of its Services. */
  takenOut({ uid }: Place): void {
    const heard = this.#places.get(uid)
    if (heard !== undefined) this.#places.set(uid, { ...heard, isOut: true })
  }

  /**
   * The places that are lost: neither they nor anybody else on their node answers any more, while others answer for
   * whoever is sent to them. No more nodes are given up than answer. A place that has never answered is among them only
   * if it came when its node was silent already: else it is a policy that keeps us from it.
   *
   * @param isSpare whether users of a Service have somewhere else to go when none of its pods is left
   */
  lost({ byNode }: Places, isSpare: (service: string) => boolean, now: number): readonly Place[] {
    const known = [...byNode].filter(([, here]) => here.some((place) => this.#isKnown(place)))
    const silent = known.filter(([node]) => this.#silenceMs(node, now) >= silentMs)
    if (silent.length === 0) return []
    const answering = known.filter(([node]) => this.#silenceMs(node, now) < suspectMs)
    if (silent.length > answering.length) return []
    const answered = new Set(answering.flatMap(([, here]) => here).flatMap(({ services }) => services))
    const mayGo = ({ services }: Place): boolean =>
      services.every((service) => answered.has(service) || isSpare(service))
    return silent.flatMap(([node, here]) => here.filter((place) => this.#isLost(node, place) && mayGo(place)))
  }

  #isLost(node: string, { uid }: Place): boolean {
    const { isKnown, firstAskedAt, unanswered, isOut } = this.#places.get(uid) ?? {}
    if (unanswered === undefined || unanswered < 2 || isOut === true) return false
    return isKnown === true || (firstAskedAt ?? 0) >= (this.#nodes.get(node)?.answeredAt ?? Infinity)
  }

  #isKnown({ uid }: Place): boolean {
    return this.#places.get(uid)?.isKnown === true
  }

  #isWorthwhile({ uid }: Place): boolean {
    const heard = this.#places.get(uid)
    return heard === undefined || heard.isKnown || heard.unanswered < triesAtMost
  }

  /** How long nobody on a node has answered that has answered before. */
  #silenceMs(node: string, now: number): number {
    return now - Math.max(this.#since, this.#nodes.get(node)?.answeredAt ?? this.#since)
  }

  #next(node: string, here: readonly Place[]): Place[] {
    const { cursor = 0, answeredAt } = this.#nodes.get(node) ?? {}
    const seen = Array.from(
      { length: Math.min(here.length, lookedAtPerNode) },
      (_, i) => here[(cursor + i) % here.length],
    )
    const known: Place[] = []
    const others: Place[] = []
    let looked = 0
    for (const place of seen) {
      if (place === undefined || known.length === askedPerNode) break
      looked += 1
      if (this.#isKnown(place)) known.push(place)
      else if (others.length === 0 && this.#isWorthwhile(place)) others.push(place)
    }
    if (answeredAt !== undefined) this.#nodes.set(node, { answeredAt, cursor: (cursor + looked) % here.length })
    return [...known, ...others]
  }
}
