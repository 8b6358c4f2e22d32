// The few words of etcd's JSON gateway that it takes to copy objects thousands of times without an API server's work.
import { request } from 'undici'

export interface Entry {
  readonly key: string
  /** As the API server stores it: JSON or protobuf. */
  readonly value: Buffer
}

/** etcd takes 128 operations in a transaction unless told otherwise. */
const batchSize = 100

export class Etcd {
  readonly #address: string

  /** @param address such as `http://127.0.0.1:2379` */
  constructor(address: string) {
    this.#address = address
  }

  /** Everything whose key begins so. */
  async list(prefix: string): Promise<Entry[]> {
    const end = Buffer.from(prefix)
    end[end.length - 1] = (end.at(-1) ?? 0) + 1
    const { kvs = [] } = await this.#ask<{
      readonly kvs?: readonly { readonly key: string; readonly value: string }[]
    }>('range', { key: base64(prefix), range_end: end.toString('base64') })
    return kvs.map(({ key, value }) => ({
      key: Buffer.from(key, 'base64').toString(),
      value: Buffer.from(value, 'base64'),
    }))
  }

  /** Writes entries many at once. */
  puts(): { add(entry: Entry): Promise<void>; flush(): Promise<void> } {
    let batch: object[] = []
    const flush = async (): Promise<void> => {
      const success = batch
      batch = []
      if (success.length > 0) await this.#ask('txn', { success })
    }
    return {
      add: async ({ key, value }) => {
        batch.push({ requestPut: { key: base64(key), value: value.toString('base64') } })
        if (batch.length >= batchSize) await flush()
      },
      flush,
    }
  }

  async #ask<T>(what: string, body: object): Promise<T> {
    const answer = await request(`${this.#address}/v3/kv/${what}`, { method: 'POST', body: JSON.stringify(body) })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`etcd refused ${what}: ${answer.statusCode} ${text}`)
    return JSON.parse(text) as T
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
