// A list as it comes in: its items one by one, each parsed by itself, so that a list of any length never holds up the
// event loop, and is never in memory as a whole. It finds where items begin and end; what is in them is JSON.parse's.

import type { ListBody } from './lists.ts'

/** Where the parts of a list lie: `{"items": [{"metadata": {"managedFields": …}}]}`. */
const depths = { list: 1, items: 2, item: 3, metadata: 4 } as const

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]

export class ListScanner {
  /** What came and is not done with: the beginning of an item, or of what is around the items. */
  #rest: Buffer = Buffer.alloc(0)
  /** In `#rest`: where to go on; beyond its end when an escaped byte is still to come. */
  #at = 0
  /** The list as far as it came, with a 0 for each item. */
  #around = ''
  #depth = 0
  #inText = false
  /** Where the last text began and ended; a text before a colon is a name. */
  #text = { from: 0, to: 0 }
  #inItems = false
  /** The last name: of the list, and of the item. */
  #names = { list: '', item: '' }
  /** Where what is not done with begins: the item, or what is around. */
  #from = 0
  /** The value of metadata.managedFields, more than half of an object, which nobody reads: it is not parsed. */
  #unread = { from: 0, to: 0 }

  /**
   * @param chunk the next bytes of the list
   * @returns the items that end in it, as JSON.parse makes them, but for managedFields, which is null where there were some
   * @throws SyntaxError when an item is not JSON
   */
  push(chunk: Buffer): object[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const items: object[] = []
    let at = this.#at
    if (this.#inText) at = this.#endText(bytes, at)
    while (at < bytes.length) {
      const byte = bytes[at]
      if (byte === quote) {
        this.#text.from = at + 1
        at = this.#endText(bytes, at + 1)
        continue
      }
      switch (byte) {
        case colon:
          if (this.#depth <= depths.metadata) this.#name(bytes, at)
          break
        case comma:
          if (this.#depth === depths.metadata) this.#endUnread(at)
          break
        case openBrace:
        case openBracket:
          this.#open(bytes, at)
          break
        case closeBrace:
        case closeBracket: {
          const item = this.#close(bytes, at)
          if (item !== undefined) items.push(item)
          break
        }
        default:
      }
      at += 1
    }
    this.#keep(bytes, at)
    return items
  }

  /**
   * The list came to its end.
   * @throws SyntaxError when it did not: it was cut off, or is not JSON, or has items that are no objects
   */
  end(): Partial<ListBody> {
    const { items, ...body } = JSON.parse(this.#around + this.#rest.toString()) as {
      readonly items?: readonly unknown[] | null
    }
    if (items?.some((item) => item !== 0) === true) throw new SyntaxError('an item of the list is no object')
    return body
  }

  /** @returns where to go on after the text; at or after the end of the bytes when the rest of it is still to come */
  #endText(bytes: Buffer, from: number): number {
    let at = from
    // Whatever is escaped, it ends no text.
    while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1
    this.#inText = at >= bytes.length
    if (this.#inText) return at
    this.#text.to = at
    return at + 1
  }

  #name(bytes: Buffer, at: number): void {
    if (this.#depth === depths.list) this.#names.list = this.#textOf(bytes)
    else if (!this.#inItems) return
    else if (this.#depth === depths.item) this.#names.item = this.#textOf(bytes)
    else if (this.#depth === depths.metadata && this.#names.item === 'metadata') {
      if (this.#textOf(bytes) === 'managedFields') this.#unread = { from: at + 1, to: 0 }
    }
  }

  #textOf(bytes: Buffer): string {
    return bytes.toString('latin1', this.#text.from, this.#text.to)
  }

  #endUnread(at: number): void {
    if (this.#unread.from > 0 && this.#unread.to === 0) this.#unread.to = at
  }

  #open(bytes: Buffer, at: number): void {
    this.#depth += 1
    if (!this.#inItems) {
      this.#inItems = this.#depth === depths.items && this.#names.list === 'items' && bytes[at] === openBracket
    } else if (this.#depth === depths.item) {
      this.#around += bytes.toString('utf8', this.#from, at)
      this.#from = at
    }
  }

  /** @returns the item that ends here */
  #close(bytes: Buffer, at: number): object | undefined {
    if (this.#depth === depths.metadata) this.#endUnread(at)
    this.#depth -= 1
    if (!this.#inItems) return undefined
    if (this.#depth === depths.list) this.#inItems = false
    if (this.#depth !== depths.items) return undefined
    const item = this.#item(bytes, this.#from, at + 1)
    this.#around += '0'
    this.#from = at + 1
    return item
  }

  #item(bytes: Buffer, from: number, to: number): object {
    const unread = this.#unread
    this.#unread = { from: 0, to: 0 }
    const text =
      unread.from === 0
        ? bytes.toString('utf8', from, to)
        : `${bytes.toString('utf8', from, unread.from)}null${bytes.toString('utf8', unread.to, to)}`
    return JSON.parse(text) as object
  }

  /** What is done with is dropped; all places move by as much. */
  #keep(bytes: Buffer, at: number): void {
    const from = this.#from
    this.#rest = bytes.subarray(from)
    this.#at = at - from
    this.#from = 0
    this.#text = { from: this.#text.from - from, to: this.#text.to - from }
    if (this.#unread.from > 0)
      this.#unread = { from: this.#unread.from - from, to: Math.max(0, this.#unread.to - from) }
  }
}
