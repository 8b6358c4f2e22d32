import { expect, test } from '@jest/globals'
import { addressesLike, copies } from './copies.ts'
import type { Entry } from './etcd.ts'

const [owner, child] = ['09fe9641-1873-4c53-8b60-a060799546dc', '31d481d7-6170-4fea-9687-f0b541970781']
/** A length before a text, and a byte that is no letter, as protobuf has them. */
const protobuf = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0x0a, text.length]), Buffer.from(text), Buffer.from([0xff, 0x80])])
const entries: readonly Entry[] = [
  { key: '/registry/x/ns/model-00000', value: Buffer.from(JSON.stringify({ name: 'model-00000', uid: owner })) },
  { key: '/registry/services/specs/ns/model-00000', value: protobuf(`model-00000 ${child} ${owner} 10.96.17.203`) },
  { key: '/registry/ipaddresses/10.96.17.203', value: protobuf('model-00000 10.96.17.203') },
]
const other = '11111111-2222-4333-8444-555555555555'
const words = (name: string): Map<string, string> => new Map([['model-00000', name]]).set(owner, other)

test('a copy has its own name, uids and address, the same ones in all of its objects, and every byte in its place', () => {
  const [model, service, address] = copies(entries, words('model-00042'), 42)
  expect(JSON.parse(model?.value.toString() ?? '')).toEqual({ name: 'model-00042', uid: other })
  expect(service?.key).toBe('/registry/services/specs/ns/model-00042')
  expect(service?.value).toHaveLength(entries[1]?.value.length ?? 0)
  expect(service?.value.at(-1)).toBe(0x80)
  const [, uid, ownerUid, ip] =
    /model-00042 (\S{36}) (\S{36}) ([\d.]+)/.exec(service?.value.toString('latin1') ?? '') ?? []
  expect([owner, child, other]).not.toContain(uid)
  expect(ownerUid).toBe(other)
  expect(address?.key).toBe(`/registry/ipaddresses/${ip}`)
})

test('five thousand copies have five thousand addresses', () => {
  const all = Array.from({ length: 5000 }, (_, index) => copies(entries.slice(2), words('model-00001'), index)[0]?.key)
  expect(new Set(all).size).toBe(5000)
  expect(all.every((key) => key?.length === entries[2]?.key.length)).toBe(true)
})

test.each(['10.96.1.2', '10.96.12.3', '10.96.12.34', '10.96.12.345', '10.96.123.210'])(
  'as many copies of a model at %s can be made as there are addresses as long, and not one more',
  (ip) => {
    const entry = { key: `/registry/ipaddresses/${ip}`, value: Buffer.from('') }
    const keys = Array.from({ length: addressesLike(ip) }, (_, index) => copies([entry], new Map(), index)[0]?.key)
    expect(new Set(keys).size).toBe(addressesLike(ip))
    expect(keys.every((key) => key?.length === entry.key.length)).toBe(true)
    expect(() => copies([entry], new Map(), addressesLike(ip))).toThrow(`addresses like ${ip}`)
  },
)

test('a name of another length is refused: it would break what counts bytes', () => {
  expect(() => copies(entries, words('model-1'), 1)).toThrow('not as long')
})
