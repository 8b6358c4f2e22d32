import { expect, test } from '@jest/globals'
import { ConnectionError, StatusError } from '../kube/errors.ts'
import { isRefused } from './refused.ts'

const asked = { verb: 'patch', resource: 'jobs.batch', namespace: 'shop', name: 'fraud' }

test.each([400, 403, 422])('an answer %d is a refusal, and the status says so', (code) => {
  expect(isRefused(new StatusError(code, {}, asked))).toBe(true)
})

test.each([404, 409, 429, 500, 503])('an answer %d is not: trying again may help by itself', (code) => {
  expect(isRefused(new StatusError(code, {}, asked))).toBe(false)
})

test('nor is a connection that broke', () => {
  expect(isRefused(new ConnectionError('ECONNRESET', asked, undefined))).toBe(false)
})
