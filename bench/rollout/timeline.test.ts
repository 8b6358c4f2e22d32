import { describe, expect, test } from '@jest/globals'
import { stretchesOf, wrongStretches, type Change } from './timeline.ts'

const at = (second: number): string => new Date(second * 1000).toISOString()
const answer = (second: number, revision: string, status = 200): Change => ({
  at: at(second),
  status,
  revision,
  version: `v-${revision}`,
})
const versions = new Map([
  ['a', 'v-a'],
  ['b', 'v-b'],
])
/** a alone, then both from second 10 on, then b alone from second 20 on. */
const timeline = [
  { at: 0, revisions: ['a'] },
  { at: 10_000, revisions: ['a', 'b'] },
  { at: 20_000, revisions: ['b'] },
]
const wrong = (changes: readonly Change[], endSecond: number): string[] =>
  wrongStretches(stretchesOf(changes, endSecond * 1000), timeline, versions, 2000).map(({ revision }) => revision)

describe('answers against the shares of their time', () => {
  test('those of a revision with a share are right, also just after it has lost it', () => {
    expect(wrong([answer(1, 'a'), answer(11, 'b'), answer(12, 'a'), answer(21, 'b')], 30)).toEqual([])
  })

  test('a candidate that answers before it has a share is wrong', () => {
    expect(wrong([answer(1, 'a'), answer(5, 'b'), answer(6, 'a'), answer(11, 'b')], 30)).toEqual(['b'])
  })

  test('one that goes on answering after it has lost its share is wrong, though it began rightly', () => {
    expect(wrong([answer(1, 'a'), answer(25, 'b')], 30)).toEqual(['a'])
  })

  test('an answer under the name of another version is wrong', () => {
    expect(wrong([{ ...answer(1, 'a'), version: 'v-b' }, answer(12, 'b')], 30)).toEqual(['a'])
  })

  test('a failed request ends a stretch and is no answer of anybody', () => {
    expect(stretchesOf([answer(1, 'a'), answer(3, '', 503), answer(4, 'a')], 9000)).toEqual([
      { revision: 'a', version: 'v-a', from: 1000, to: 3000 },
      { revision: 'a', version: 'v-a', from: 4000, to: 9000 },
    ])
  })
})
