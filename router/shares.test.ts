import { expect, test } from '@jest/globals'
import type { Endpoints, Setting } from './model.ts'
import { sharesOf } from './shares.ts'

const pod = { address: '10.0.0.1', port: 8080 }
const some = { ready: 1, http: [pod], grpc: [] }
const none = { ready: 0, http: [], grpc: [] }

const setting = (weights: Readonly<Record<string, number>>): Setting => ({
  name: 'fraud',
  uid: 'u',
  model: 'fraud',
  port: 20_000,
  epoch: 4,
  timeoutMs: 60_000,
  stable: 'old',
  revisions: Object.entries(weights).map(([name, weight]) => ({ name, weight })),
})
const shares = (weights: Readonly<Record<string, number>>, endpoints: Endpoints) => {
  const { weights: given, emptied } = sharesOf(setting(weights), endpoints)
  return { ...Object.fromEntries(given), emptied }
}

test('a revision without a ready pod gives its share to stable and is named', () => {
  const endpoints = new Map([
    ['old', some],
    ['new', none],
  ] as const)
  expect(shares({ old: 900, new: 100 }, endpoints)).toEqual({ old: 1000, new: 0, emptied: ['new'] })
})

test('one that is asked to get nothing has lost nothing: a candidate that is still starting is not named', () => {
  const endpoints = new Map([
    ['old', some],
    ['new', none],
  ] as const)
  expect(shares({ old: 1000, new: 0 }, endpoints)).toEqual({ old: 1000, new: 0, emptied: [] })
})

test('a share stays where it is when stable has no pod either', () => {
  const endpoints = new Map([
    ['old', none],
    ['new', none],
  ] as const)
  expect(shares({ old: 900, new: 100 }, endpoints)).toEqual({ old: 900, new: 100, emptied: ['new'] })
})
