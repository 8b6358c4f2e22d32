import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Framing } from './framing.ts'

const frame = (size: number): Buffer => {
  const message = Buffer.alloc(5 + size, 7)
  message[0] = 0
  message.writeUInt32BE(size, 1)
  return message
}

test('however a stream is cut, what is not whole is what has come since the last whole message', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 10 })
  const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(sizes, cuts, (messages, lengths) => {
      const bytes = Buffer.concat(messages.map(frame))
      const ends = messages.map((_, index) => messages.slice(0, index + 1).reduce((sum, size) => sum + size + 5, 0))
      const framing = new Framing()
      let at = 0
      for (const length of lengths) {
        const chunk = bytes.subarray(at, at + length)
        at += chunk.byteLength
        const lastEnd = ends.findLast((end) => end <= at) ?? 0
        expect(framing.take(chunk)).toBe(at - lastEnd)
      }
    }),
  )
})
