import { expect, test } from '@jest/globals'
import { planThreads } from './threads.ts'

test.each([
  { cores: 8, quota: undefined, setting: 'Auto', threads: 8, spinning: true },
  { cores: 8, quota: 1, setting: 'Auto', threads: 1, spinning: false },
  { cores: 8, quota: 0.5, setting: 'Auto', threads: 1, spinning: false },
  { cores: 8, quota: 2.9, setting: 'Auto', threads: 2, spinning: false },
  { cores: 2, quota: 4, setting: 'Auto', threads: 2, spinning: true },
  { cores: 1, quota: undefined, setting: 'Auto', threads: 1, spinning: false },
  { cores: 8, quota: 2, setting: 4, threads: 4, spinning: false },
  { cores: 2, quota: undefined, setting: 16, threads: 16, spinning: false },
] as const)('$cores cores, quota $quota, threads $setting → $threads threads, spinning $spinning', (given) => {
  expect(planThreads({ cores: given.cores, quota: given.quota }, given.setting)).toEqual({
    workers: 1,
    intraOpThreads: given.threads,
    spinning: given.spinning,
  })
})
