// The text of an answer as what it should be. A proxy on the way may answer in the server's place, and with a 200: what
// is no JSON, or no object of the API, is as good as no answer. Pure.
import { ConnectionError, type Asked } from './errors.ts'
import type { KubeObject } from './types.ts'

/** @throws ConnectionError for what is no JSON */
export const jsonIn = (text: string, asked: Asked): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new ConnectionError('Malformed', asked, error)
  }
}

/** @throws ConnectionError for what is no object of the API, of any kind */
export const objectIn = (text: string, asked: Asked): KubeObject => {
  const answer = jsonIn(text, asked)
  if (isObject(answer)) return answer
  throw new ConnectionError('Malformed', asked, new TypeError('the answer is JSON, but no object of the API'))
}

const isObject = (value: unknown): value is KubeObject =>
  typeof value === 'object' && value !== null && 'kind' in value && 'metadata' in value && isRecord(value.metadata)

const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null
