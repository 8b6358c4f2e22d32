import { expect, test } from '@jest/globals'
import { grpcForms } from '../fixtures/grpcforms.ts'
import { wireForms } from '../fixtures/wireforms.ts'
import { fuzzDecoders, type FuzzReport } from './decoders.ts'
import { faultsOf, joined } from './verdict.ts'

test('20,000 mutated requests are answered or refused in words, many of both in every form', () => {
  const numbers: number[] = []
  const report = fuzzDecoders(1, 20_000, 0, (number) => numbers.push(number))
  expect(faultsOf({ ...report, worstMs: 0 }, 0)).toEqual([])
  expect([...report.forms.keys()]).toEqual([...wireForms, ...grpcForms].map(({ name }) => name))
  expect(report.refused.size).toBeGreaterThan(20)
  expect(numbers).toEqual(Array.from({ length: 20_000 }, (_, number) => number))
})

const forms = (accepted: number, refused: number) => new Map([['a form', { accepted, refused }]])
const good: FuzzReport = { forms: forms(60, 40), refused: new Map([['FieldMissing', 40]]), worstMs: 999 }

test.each<[string, FuzzReport, number, string[]]>([
  ['nothing', good, 10 * 2 ** 20, []],
  ['an input that takes long', { ...good, worstMs: 1500 }, 0, ['an input took 1500 ms, and 1000 is the most']],
  ['memory that grows', good, 11 * 2 ** 20, ['memory grew by 11 MiB, and 10 is the most']],
  [
    'a form of which nothing is read',
    { ...good, forms: forms(5, 95) },
    0,
    ['a form: 5 accepted of 100, as good as none'],
  ],
  ['a form that takes anything', { ...good, forms: forms(95, 5) }, 0, ['a form: 5 refused of 100, as good as none']],
  [
    'a form that was never tried',
    { ...good, forms: forms(0, 0) },
    0,
    ['a form: 0 accepted of 0, as good as none', 'a form: 0 refused of 0, as good as none'],
  ],
])('a run with %s is judged', (_name, report, grownBytes, faults) => {
  expect(faultsOf(report, grownBytes)).toEqual(faults)
})

test('reports of parts of a run add up', () => {
  const other = {
    forms: forms(1, 2),
    refused: new Map([
      ['FieldMissing', 1],
      ['InvalidJson', 1],
    ]),
    worstMs: 3,
  }
  expect(joined(good, other)).toEqual({
    forms: forms(61, 42),
    refused: new Map([
      ['FieldMissing', 41],
      ['InvalidJson', 1],
    ]),
    worstMs: 999,
  })
})
