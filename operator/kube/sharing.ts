// Objects of one kind are alike: the same probes, the same security context, the same words. Here what is alike becomes
// one: equal parts of what was parsed are replaced by the part that came first. It never changes what an object says.

/** How many texts and how many other parts are remembered, in each of two generations. */
const defaultCapacity = 4096
/** Longer texts are rarely the same ones. */
const longestText = 256

type Part = Record<string, unknown> | unknown[]

interface Known<T> {
  readonly value: T
  /** Stands for the value in the hash of what holds it. Never 0. */
  readonly id: number
}

export class Sharing {
  readonly #texts: Generations<string, string>
  /** By a hash of what is in them. */
  readonly #parts: Generations<number, Part>
  #ids = 0
  /** Of what was looked at last: what stands for it, or 0 when it was not known before. */
  #id = 0

  constructor(capacity = defaultCapacity) {
    this.#texts = new Generations(capacity)
    this.#parts = new Generations(capacity)
  }

  /**
   * The same value, with every part that was seen before replaced by the earlier one. Shared parts are frozen: whoever
   * gets one has what others hold too.
   * @param value fresh from JSON.parse; it is changed in place, so nobody else may hold it yet
   */
  share<T>(value: T): T {
    return this.#any(value) as T
  }

  #any(value: unknown): unknown {
    if (typeof value === 'string') return this.#text(value)
    if (typeof value === 'object' && value !== null) {
      return Array.isArray(value) ? this.#list(value) : this.#object(value as Record<string, unknown>)
    }
    // Numbers, booleans and null are the same wherever they are.
    this.#id = typeof value === 'number' ? Math.imul(value | 0, 31) | 1 : value === true ? 3 : value === false ? 5 : 7
    return value
  }

  #text(text: string): string {
    this.#id = 0
    if (text.length > longestText) return text
    const known = this.#texts.get(text)
    if (known === undefined) {
      this.#texts.set(text, { value: text, id: (this.#ids += 1) })
      return text
    }
    this.#id = known.id
    return known.value
  }

  /** An object is looked for when all in it is known: what holds a name of its own is never seen again. */
  #object(object: Record<string, unknown>): Part {
    let hash = 1
    let isNew = false
    for (const name in object) {
      const before = object[name]
      const after = this.#any(before)
      // To assign this one would change what the object inherits.
      if (name === '__proto__') isNew = true
      else if (after !== before) object[name] = after
      if (this.#id === 0) isNew = true
      hash = mixed(mixed(hash, name.length), this.#id)
    }
    return isNew ? this.#unknown(object) : this.#part(hash, object)
  }

  #list(list: unknown[]): Part {
    let hash = 2
    let isNew = false
    for (let index = 0; index < list.length; index += 1) {
      const before = list[index]
      const after = this.#any(before)
      if (after !== before) list[index] = after
      if (this.#id === 0) isNew = true
      hash = mixed(hash, this.#id)
    }
    return isNew ? this.#unknown(list) : this.#part(hash, list)
  }

  #part(hash: number, part: Part): Part {
    const known = this.#parts.get(hash)
    if (known === undefined) this.#parts.set(hash, { value: Object.freeze(part) as Part, id: (this.#ids += 1) })
    if (known === undefined || !isSame(known.value, part)) return this.#unknown(part)
    this.#id = known.id
    return known.value
  }

  #unknown<T>(value: T): T {
    this.#id = 0
    return value
  }
}

/** A memory of bounded size: what is asked for again and again stays, the rest is forgotten. */
class Generations<K, V> {
  readonly #capacity: number
  #young = new Map<K, Known<V>>()
  #old = new Map<K, Known<V>>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get(key: K): Known<V> | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: K, known: Known<V>): void {
    if (this.#young.size >= this.#capacity) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, known)
  }
}

/** Equal hashes may be a coincidence. What is in the two is shared already, so that a look one level deep is enough. */
const isSame = (known: Part, part: Part): boolean => {
  if (Array.isArray(known) || Array.isArray(part)) {
    return (
      Array.isArray(known) &&
      Array.isArray(part) &&
      known.length === part.length &&
      known.every((value, index) => value === part[index])
    )
  }
  let names = 0
  for (const name in part) {
    if (known[name] !== part[name]) return false
    names += 1
  }
  for (const _ in known) names -= 1
  return names === 0
}

const mixed = (hash: number, value: number): number => {
  const product = Math.imul(hash ^ value, 0x9e3779b1)
  return product ^ (product >>> 15)
}
