import { expect, test } from '@jest/globals'
import { eventOf } from './cloudevent.ts'

const answer = { body: new Uint8Array(Buffer.from('{}')), headers: { 'content-type': 'application/json' } }

test('the name of a model stands in headers as the binding of CloudEvents to HTTP writes it', () => {
  expect(eventOf(answer, 'binary', 'm').headers['ce-source']).toBe('io.kserve.inference.m')
  expect(eventOf(answer, 'binary', 'a "b" 5% ü☃').headers['ce-source']).toBe(
    'io.kserve.inference.a%20%22b%22%205%25%20%C3%BC%E2%98%83',
  )
})

test('and in a structured event as it is', () => {
  const { body } = eventOf(answer, 'structured', 'ü☃')
  expect(JSON.parse(Buffer.from(body).toString())).toMatchObject({ source: 'io.kserve.inference.ü☃', data: {} })
})
