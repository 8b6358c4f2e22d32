import { describe, expect, test } from '@jest/globals'
import { LinkedList, unlinked, type Links } from './linked.ts'

interface Member extends Links<Member> {
  readonly name: string
}

const member = (name: string): Member => ({ name, ...unlinked })

describe('a list that members leave from anywhere', () => {
  test('who has left points at nobody, and its neighbours at each other', () => {
    const list = new LinkedList<Member>()
    const [a, b, c] = [member('a'), member('b'), member('c')]
    for (const one of [a, b, c]) list.append(one)
    expect(list.remove(b)).toBe(true)
    expect(b).toEqual(member('b'))
    expect(a.next).toBe(c)
    expect(c.previous).toBe(a)
    expect(list.remove(a)).toBe(true)
    expect(list.first).toBe(c)
    expect(list.remove(c)).toBe(true)
    expect(list.first).toBeUndefined()
    expect([a, c]).toEqual([member('a'), member('c')])
  })

  test('who has left, and who is in another list, is not taken out', () => {
    const [list, other] = [new LinkedList<Member>(), new LinkedList<Member>()]
    const [here, there] = [member('here'), member('there')]
    list.append(here)
    other.append(there)
    expect(list.remove(there)).toBe(false)
    expect(other.first).toBe(there)
    expect(list.remove(here)).toBe(true)
    expect(list.remove(here)).toBe(false)
    list.append(here)
    expect(list.first).toBe(here)
  })
})
