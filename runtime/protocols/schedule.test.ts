import { expect, test } from '@jest/globals'
import { urgencyOf } from './schedule.ts'

const of = (json: string): object => urgencyOf(Buffer.from(json))

test.each([
  ['{"inputs":[{"data":[NaN]}],"parameters":{"priority":1,"timeout":500000}}', { priority: 1, timeoutMs: 500 }],
  ['{"parameters":{"timeout":1500},"inputs":[]}', { timeoutMs: 1.5 }],
  ['{"parameters":{"priority":0,"timeout":0}}', { priority: 0 }],
  ['{"parameters":{"priority":"1","timeout":-5}}', {}],
  ['{"inputs":[{"data":["\\"priority\\""]}]}', {}],
  ['{"inputs":[{"name":"priority"}]}', {}],
  ['{"parameters":{"priority":1', {}],
  ['"priority"', {}],
  ['', {}],
  [`{"parameters":{"priority":1},"x":"${'y'.repeat(70_000)}"}`, {}],
])('%.70s is scheduled by %j', (json, urgency) => {
  expect(of(json)).toEqual(urgency)
})
