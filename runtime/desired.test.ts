import { afterAll, expect, jest, test } from '@jest/globals'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseDesired, watchText } from './desired.ts'

jest.setTimeout(30_000)
const folder = mkdtempSync(join(tmpdir(), 'slipway-desired-'))
afterAll(() => rmSync(folder, { recursive: true }))

const digest = `sha256:${'a'.repeat(64)}`
const v1 = { version: 'v1', file: '/m/1.onnx' }

test('a file names versions, the default and labels', () => {
  const text = JSON.stringify({
    current: 'v2',
    versions: [v1, { version: 'v2', file: '/m/2.onnx', digest, labels: ['canary'] }],
  })
  expect(parseDesired(text, 'f')).toEqual({
    current: 'v2',
    versions: [
      { version: 'v1', file: '/m/1.onnx', digest: undefined, labels: [] },
      { version: 'v2', file: '/m/2.onnx', digest, labels: ['canary'] },
    ],
  })
})

test.each<[unknown, string]>([
  ['{', 'it is not valid JSON'],
  [[], 'it is no object'],
  [{ current: 'v1' }, 'versions is not a list with an entry'],
  [{ current: 'v1', versions: [], x: 1 }, 'it has the field x; use current, versions'],
  [{ current: 'v1', versions: [{ version: 'v1' }] }, 'versions[0].file is no text'],
  [{ current: 'v1', versions: [{ version: 1, file: 'f' }] }, 'versions[0].version is no text'],
  [{ current: 'v1', versions: [{ ...v1, digest: 'sha256:1' }] }, 'versions[0].digest is no digest'],
  [{ current: 'v1', versions: [{ ...v1, labels: 'a' }] }, 'versions[0].labels is no list of texts'],
  [{ current: 'v2', versions: [v1] }, 'current names none of the versions; write one of v1'],
  [{ current: 'v1', versions: [v1, v1] }, 'v1 names two things'],
  [{ current: 'v1', versions: [v1, { version: 'v2', file: 'f', labels: ['v1'] }] }, 'v1 names two things'],
])('%j is refused: %s', (value, words) => {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  expect(() => parseDesired(text, '/etc/versions.json')).toThrow(
    `the file of versions /etc/versions.json cannot be followed`,
  )
  expect(() => parseDesired(text, '/etc/versions.json')).toThrow(words)
})

test('a watched file tells each new text once, one after another, and once that it is gone', async () => {
  const path = join(folder, 'watched')
  const write = (text: string): void => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  write('one')
  const story: string[] = []
  const stop = watchText(
    path,
    'one',
    async (text) => {
      story.push(`begin ${text}`)
      await sleep(20)
      story.push(`end ${text}`)
    },
    () => void story.push('unreadable'),
    1,
  )
  const until = async (line: string): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- it waits for a state
    while (story.at(-1) !== line) await sleep(1)
  }
  write('two')
  await until('end two')
  rmSync(path)
  await until('unreadable')
  await sleep(10)
  write('three')
  await until('end three')
  stop()
  expect(story).toEqual(['begin two', 'end two', 'unreadable', 'begin three', 'end three'])
})
