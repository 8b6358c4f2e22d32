// Keep-alive connections of HTTP/1.1 that send ready bytes and read one answer at a time. It costs a fraction of
// node:http, so that the client takes little of the cores that it shares with the server.
import { connect, type Socket } from 'node:net'
import type { Job } from '../load.ts'

/** Something that can have one request on its way. */
export interface Lane {
  /** Sends the request and gives the answer's body. @throws Error with the status, or why the connection ended */
  ask(): Promise<Uint8Array>
  close(): void
}

/** How long a server may take for an answer, in milliseconds. */
const patienceMs = 30_000

export function connectHttp({ port, path, requests, connections }: HttpJob): Lane[] {
  const ready = requests.map(({ bytes, headers }) => {
    const head = [
      `POST ${path} HTTP/1.1`,
      `host: 127.0.0.1:${port}`,
      `content-length: ${bytes.length}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ]
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), bytes])
  })
  return Array.from({ length: connections }, (_, index) => new HttpLane(port, ready, index))
}

type HttpJob = Pick<Job, 'port' | 'path' | 'requests' | 'connections'>

/** A connection that only asks for a page. */
export const connectGet = (port: number, path: string): Lane =>
  new HttpLane(port, [Buffer.from(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`)], 0)

class HttpLane implements Lane {
  readonly #port: number
  readonly #requests: readonly Buffer[]
  #next: number
  #socket: Socket | undefined
  #received: Buffer[] = []
  #size = 0
  /** Bytes of the whole answer; undefined until its head is there. */
  #whole: number | undefined
  #bodyAt = 0
  #waiting: { readonly resolve: (body: Uint8Array) => void; readonly reject: (error: Error) => void } | undefined

  /** @param first which request it begins with: not all begin with the same */
  constructor(port: number, requests: readonly Buffer[], first: number) {
    this.#port = port
    this.#requests = requests
    this.#next = first
  }

  ask(): Promise<Uint8Array> {
    const socket = (this.#socket ??= this.#open())
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      socket.write(this.#requests[this.#next++ % this.#requests.length]!)
    })
  }

  close(): void {
    this.#socket?.destroy()
    this.#socket = undefined
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    socket.setTimeout(patienceMs, () => socket.destroy(new Error(`no answer within ${patienceMs} ms`)))
    socket.on('data', (chunk) => this.#read(chunk))
    // What is left of a connection that this side has closed is no answer to a request on the next one.
    socket.on('error', (error) => {
      if (this.#socket === socket) this.#fail(error)
    })
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      this.#fail(new Error('the server closed the connection'))
    })
    return socket
  }

  #fail(error: Error): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    this.#clear()
    waiting?.reject(error)
  }

  #clear(): void {
    this.#received = []
    this.#size = 0
    this.#whole = undefined
  }

  #read(chunk: Buffer): void {
    this.#received.push(chunk)
    this.#size += chunk.length
    if (this.#whole === undefined) {
      const all = this.#received.length === 1 ? chunk : Buffer.concat(this.#received)
      this.#received = [all]
      const end = all.indexOf('\r\n\r\n')
      if (end === -1) return
      this.#bodyAt = end + 4
      const length = /\r\ncontent-length: *(\d+)/i.exec(all.toString('latin1', 0, end))?.[1]
      this.#whole = length === undefined ? Infinity : this.#bodyAt + Number(length)
    }
    if (this.#whole === Infinity) {
      // A chunked answer: there is only one on its way, so its end is the end of what came.
      const tail = Buffer.concat(this.#received.slice(-2)).subarray(-5)
      if (tail.toString('latin1') !== '0\r\n\r\n') return
    } else if (this.#size < this.#whole) return
    const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received)
    const chunked = this.#whole === Infinity
    this.#clear()
    this.#settle(all, chunked)
  }

  #settle(all: Buffer, chunked: boolean): void {
    const head = all.toString('latin1', 0, this.#bodyAt)
    if (/\r\nconnection: *close/i.test(head)) this.close()
    const waiting = this.#waiting
    this.#waiting = undefined
    const body = chunked ? dechunked(all.subarray(this.#bodyAt)) : all.subarray(this.#bodyAt)
    if (head.startsWith('200', 9)) waiting?.resolve(body)
    else waiting?.reject(new Error(`${head.slice(9, 12)} ${body.toString('utf8').slice(0, 300)}`))
  }
}

function dechunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const end = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (!(size > 0)) return Buffer.concat(parts)
    parts.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 4 + size
  }
}
