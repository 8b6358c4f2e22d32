// What tests of the goals start from: one sample, and what differs.
import type { Sample } from './measure.ts'

export const sample = (fields: Partial<Sample>): Sample => ({
  part: 'tiny',
  subject: 'slipway',
  model: 'tiny',
  form: 'json',
  connections: 32,
  round: 0,
  answers: 100,
  failures: 0,
  rps: 1000,
  p50: 1,
  p99: 2,
  max: 3,
  cpuUs: 100,
  memoryMib: 100,
  worstLiveMs: 5,
  ...fields,
})
