import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { BodyMemory } from '../bodymemory.ts'
import { readBody, type Body } from './body.ts'

const reservations = { reserve: () => undefined, release: () => undefined }
let aligned = 0
/** The pieces in which the last body came, and what was read of them. */
let pieces: Buffer[] = []
let read: Promise<Body> | undefined

const server = createServer((request: IncomingMessage, response) => {
  pieces = []
  request.on('data', (piece: Buffer) => pieces.push(piece))
  const memory = new BodyMemory(2 ** 24)
  read = readBody(request, { maxBytes: 2 ** 24, coding: undefined, aligned, reservations, memory })
  void read.then(() => response.end())
})
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
afterAll(() => void server.close())

async function send(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const { port } = server.address() as AddressInfo
  await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body })
  if (read === undefined) throw new Error('no request came')
  return (await read).bytes
}
const numbered = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, at) => (at * 7) % 251)

test('a large body leaves nothing behind: the memory of each piece is given back when it has been copied', async () => {
  const body = numbered(3_000_000)
  expect(Buffer.compare(await send(body), body)).toBe(0)
  expect(pieces.length).toBeGreaterThan(1)
  expect(pieces.map(({ buffer }) => buffer.byteLength)).toEqual(pieces.map(() => 0))
})

test('a body in one piece stays where it is', async () => {
  const body = numbered(700)
  const bytes = await send(body)
  expect(Buffer.compare(bytes, body)).toBe(0)
  expect(pieces).toHaveLength(1)
  expect(bytes.buffer).toBe(pieces[0]?.buffer)
})

test('unless its tensors would not lie as they must', async () => {
  aligned = 13
  const body = numbered(700)
  const bytes = await send(body)
  expect(Buffer.compare(bytes, body)).toBe(0)
  expect((bytes.byteOffset + aligned) % 8).toBe(0)
})
