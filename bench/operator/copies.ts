// One model's objects as etcd holds them, made another's. Everything that tells the two apart has the same length, so
// that protobuf, which counts bytes, stays valid.
import { randomUUID } from 'node:crypto'
import type { Entry } from './etcd.ts'

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g
const address = /10\.96\.\d{1,3}\.\d{1,3}/g

/**
 * @param words what a copy says instead of what the first says: its name, its owner's uid. Each as long as what it replaces.
 * @param index of the copy; each has an address of its own by it
 */
export const copies = (entries: readonly Entry[], words: ReadonlyMap<string, string>, index: number): Entry[] => {
  for (const [from, to] of words) if (from.length !== to.length) throw new TypeError(`${to} is not as long as ${from}`)
  const uids = new Map<string, string>()
  const renamed = (text: string): string => {
    let copy = text
    for (const [from, to] of words) copy = copy.replaceAll(from, to)
    return copy
      .replaceAll(uuid, (uid) => {
        if (given.has(uid)) return uid
        const known = uids.get(uid) ?? randomUUID()
        uids.set(uid, known)
        return known
      })
      .replaceAll(address, (ip) => addressLike(ip, index))
  }
  const given = new Set(words.values())
  return entries.map(({ key, value }) => ({
    key: renamed(key),
    value: Buffer.from(renamed(value.toString('latin1')), 'latin1'),
  }))
}

/** How many copies can be made of a model whose Service has this address: each needs another one with as many digits. */
export const addressesLike = (ip: string): number => splitsOf(ip).reduce((sum, [a, b]) => sum + a.count * b.count, 0)

/** Another address of 10.96.0.0/16 with as many digits. @throws where there are too few of them */
const addressLike = (ip: string, index: number): string => {
  let left = index
  for (const [a, b] of splitsOf(ip)) {
    if (left < a.count * b.count) return `10.96.${a.from + Math.floor(left / b.count)}.${b.from + (left % b.count)}`
    left -= a.count * b.count
  }
  throw new RangeError(`there are ${addressesLike(ip)} addresses like ${ip}, and ${index} copies want one`)
}

/** The ways in which the last two numbers of an address share its digits. */
const splitsOf = (ip: string): (readonly [Numbers, Numbers])[] => {
  const digits = ip.length - '10.96..'.length
  return [1, 2, 3].map((first) => [numbersOf(first), numbersOf(digits - first)] as const)
}

interface Numbers {
  readonly from: number
  readonly count: number
}

/** Numbers from 0 to 255 with so many digits. */
const numbersOf = (digits: number): Numbers =>
  digits === 1
    ? { from: 2, count: 8 }
    : digits === 2
      ? { from: 10, count: 90 }
      : digits === 3
        ? { from: 100, count: 156 }
        : { from: 0, count: 0 }
