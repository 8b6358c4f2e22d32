import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { ProtoWriter } from './writer.ts'

/** What others write for the same fields. */
const theirs = (write: (writer: protobuf.Writer) => protobuf.Writer): string =>
  Buffer.from(write(protobuf.Writer.create()).finish()).toString('hex')

const tag = (field: number): number => (field << 3) | 2

describe('a message within a message', () => {
  // One byte of length holds 127, two hold 16,383.
  test.each([0, 1, 127, 128, 129, 16_383, 16_384, 100_000])('has its length before it, for %i bytes', (size) => {
    const bytes = Buffer.alloc(size, 'message')
    const ours = new ProtoWriter(1)
      .string(1, 'before')
      .message(2, (inner) => inner.raw(bytes))
      .string(3, 'behind')
    expect(ours.finish().toString('hex')).toBe(
      theirs((writer) =>
        writer.uint32(tag(1)).string('before').uint32(tag(2)).bytes(bytes).uint32(tag(3)).string('behind'),
      ),
    )
  })

  test('may have one in itself, of any size', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 8 }), (sizes) => {
        const ours = (writer: ProtoWriter, [size, ...more]: readonly number[]): ProtoWriter =>
          size === undefined ? writer : writer.message(1, (inner) => ours(inner.raw(Buffer.alloc(size, 7)), more))
        const made = sizes.reduceRight((within, size) => {
          const whole = Buffer.concat([Buffer.alloc(size, 7), within])
          return Buffer.from(protobuf.Writer.create().uint32(tag(1)).bytes(whole).finish())
        }, Buffer.alloc(0))
        expect(ours(new ProtoWriter(1), sizes).finish().toString('hex')).toBe(made.toString('hex'))
      }),
    )
  })
})

test('text is written as others write it, whatever its letters and however long', () => {
  const texts = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary-ascii', maxLength: 200 }))
  const example = (text: string): [string] => [text]
  fc.assert(
    fc.property(texts, (text) => {
      expect(new ProtoWriter(1).string(1, text).string(2, 'x').finish().toString('hex')).toBe(
        theirs((writer) => writer.uint32(tag(1)).string(text).uint32(tag(2)).string('x')),
      )
    }),
    {
      examples: ['', 'a'.repeat(64), 'a'.repeat(128), 'ü'.repeat(64), `${'a'.repeat(63)}ü`, '€'.repeat(128)].map(
        example,
      ),
    },
  )
})

test('a writer that begins anew writes only what comes then', () => {
  const writer = new ProtoWriter(1).string(1, 'a long text that the next is shorter than')
  expect(writer.clear().string(2, 'short').finish().toString('hex')).toBe(
    new ProtoWriter(1).string(2, 'short').finish().toString('hex'),
  )
})
