/**
 * A list whose members can leave from anywhere. Who has left must point at nobody any more.
 *
 * Why not a `Map` or a `Set`: each time V8 makes one a new table, the old table keeps pointing at the new one, for whoever
 * goes through it. Once one such table has grown old, every later one, with all that was in it, is kept by a dead one
 * until the next collection of the whole heap (docs/decisions/0310).
 */

/** What a list needs of its members; only the list may write it. */
export interface Links<Member> {
  previous: Member | undefined
  next: Member | undefined
  /** The list that it is in. */
  list: object | undefined
}

/** The links of who is in no list. */
export const unlinked = { previous: undefined, next: undefined, list: undefined } as const

export class LinkedList<Member extends Links<Member>> {
  #first: Member | undefined
  #last: Member | undefined

  /** Who came first of those that are there. */
  get first(): Member | undefined {
    return this.#first
  }

  /** @param member of no list */
  append(member: Member): void {
    const last = this.#last
    member.list = this
    member.previous = last
    if (last === undefined) this.#first = member
    else last.next = member
    this.#last = member
  }

  /** Takes a member out wherever it stands; false when it is not there. */
  remove(member: Member): boolean {
    if (member.list !== this) return false
    const { previous, next } = member
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    member.list = undefined
    member.previous = undefined
    member.next = undefined
    return true
  }
}
