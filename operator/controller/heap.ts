// A binary heap of times: the next thing that is due, in logarithmic time.

export class Heap<V extends { readonly at: number }> {
  readonly #items: V[] = []

  get size(): number {
    return this.#items.length
  }

  peek(): V | undefined {
    return this.#items[0]
  }

  push(value: V): void {
    const items = this.#items
    let index = items.length
    items.push(value)
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = items[parent]
      if (above === undefined || above.at <= value.at) break
      items[index] = above
      index = parent
    }
    items[index] = value
  }

  pop(): V | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (top === undefined || last === undefined || items.length === 0) return top
    let index = 0
    for (;;) {
      const child = this.#earlierChild(index)
      const below = items[child]
      if (below === undefined || below.at >= last.at) break
      items[index] = below
      index = child
    }
    items[index] = last
    return top
  }

  #earlierChild(index: number): number {
    const [left, right] = [2 * index + 1, 2 * index + 2]
    const [a, b] = [this.#items[left], this.#items[right]]
    return a !== undefined && b !== undefined && b.at < a.at ? right : left
  }
}
