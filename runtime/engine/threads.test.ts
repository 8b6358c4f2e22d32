import { describe, expect, test } from '@jest/globals'
import { affordable, choosePlan, planThreads, type ThreadPlan } from './threads.ts'

const print = ({ workers, intraOpThreads }: ThreadPlan): string => `${workers}x${intraOpThreads}`
const read = (text: string): ThreadPlan => {
  const [workers = 1, intraOpThreads = 1] = text.split('x').map(Number)
  return { workers, intraOpThreads }
}

test.each([
  { cores: 8, quota: undefined, setting: 'Auto', plans: ['1x1', '1x8', '2x4', '8x1'] },
  { cores: 8, quota: 1, setting: 'Auto', plans: ['1x1'] },
  { cores: 8, quota: 0.5, setting: 'Auto', plans: ['1x1'] },
  { cores: 8, quota: 1.5, setting: 'Auto', plans: ['1x1'] },
  { cores: 8, quota: 2.9, setting: 'Auto', plans: ['1x1', '1x2', '2x1'] },
  { cores: 2, quota: 4, setting: 'Auto', plans: ['1x1', '1x2', '2x1'] },
  { cores: 1, quota: undefined, setting: 'Auto', plans: ['1x1'] },
  { cores: 64, quota: 32, setting: 'Auto', plans: ['1x1', '1x32', '2x16', '8x1'] },
  { cores: 8, quota: 2, setting: 4, plans: ['1x4'] },
  { cores: 2, quota: undefined, setting: 16, plans: ['1x16'] },
  { cores: 8, quota: undefined, setting: 4, plans: ['1x4'] },
] as const)('$cores cores, quota $quota, threads $setting → $plans', ({ cores, quota, setting, plans }) => {
  expect(planThreads({ cores, quota }, setting).map(print)).toEqual(plans)
})

describe('of plans that were measured', () => {
  const chosen = (...rates: [string, number][]): string =>
    print(choosePlan(rates.map(([plan, perSecond]) => ({ ...read(plan), perSecond }))))

  test('the fastest is taken', () => {
    expect(chosen(['1x1', 100], ['1x2', 130], ['2x1', 190])).toBe('2x1')
  })

  test('fewer workers are taken when they are nearly as fast', () => {
    expect(chosen(['1x1', 100], ['1x2', 182], ['2x1', 190])).toBe('1x2')
    expect(chosen(['1x1', 100], ['1x2', 60], ['2x1', 105])).toBe('1x1')
  })
})

test('plans whose workers do not fit into memory are not tried', () => {
  const plans = ['1x4', '2x2', '4x1'].map(read)
  expect(affordable(plans, 100, 50, undefined)).toEqual(plans)
  expect(affordable(plans, 100, 50, 1700).map(print)).toEqual(['1x4', '2x2', '4x1'])
  expect(affordable(plans, 100, 50, 900).map(print)).toEqual(['1x4', '2x2'])
  expect(affordable(plans, 100, 50, 700).map(print)).toEqual(['1x4'])
  expect(affordable(plans, 100, 50, 400)).toEqual([])
})
