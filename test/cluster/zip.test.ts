import { deflateRawSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { unzipFile } from './zip.ts'

test('a zip archive gives back any file put into it, stored or deflated', () => {
  const content = fc.uint8Array({ maxLength: 2000 })
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,9}$/), content, fc.boolean()), {
        selector: ([n]) => n,
        minLength: 1,
        maxLength: 5,
      }),
      (files) => {
        const archive = zip(files)
        for (const [name, bytes] of files) expect(unzipFile(archive, name)).toEqual(Buffer.from(bytes))
        expect(() => unzipFile(archive, 'Absent')).toThrow('has no file Absent')
      },
    ),
  )
  expect(() => unzipFile(Buffer.from('hello'), 'x')).toThrow('not a zip archive')
})

/** The smallest archive that is one: local headers and data, the directory, its end. */
function zip(files: readonly (readonly [name: string, bytes: Uint8Array, deflate: boolean])[]): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, bytes, deflate] of files) {
    const data = deflate ? deflateRawSync(bytes) : Buffer.from(bytes)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(deflate ? 8 : 0, 4)
    common.writeUInt32LE(data.length, 14)
    common.writeUInt32LE(bytes.length, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), data])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x00\x00', 'latin1'), common, tail, Buffer.from(name)]))
    parts.push(local)
    offset += local.length
  }
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 0, 'latin1')
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, ...directory, end])
}
