import { describe, expect, test } from '@jest/globals'
import { programFor } from './program.ts'
import { renderSuggestions, suggest, type Known } from './completion.ts'
import type { Terminal } from './terminal.ts'

const terminal: Terminal = {
  out: () => {},
  note: () => {},
  input: () => Promise.resolve(''),
  columns: undefined,
  colours: false,
  env: {},
  signal: new AbortController().signal,
  now: () => 0,
}
const known: Known = {
  modelDeployments: (namespace) => Promise.resolve(namespace === 'shop' ? ['fraud', 'ranking'] : ['silero']),
  namespaces: () => Promise.resolve(['default', 'shop']),
}
const complete = async (...words: string[]) =>
  (
    await suggest(
      programFor(terminal, () => {}),
      words,
      known,
    )
  ).words

describe('completion', () => {
  test('commands, without those that are not for people', async () => {
    expect(await complete('r')).toEqual(['resume', 'retry', 'rollback'])
    expect((await complete('')).filter((word) => word.startsWith('_'))).toEqual([])
  })

  test('names of the namespace that was given, however it was given', async () => {
    expect(await complete('status', '')).toEqual(['silero'])
    expect(await complete('status', '-n', 'shop', 'f')).toEqual(['fraud'])
    expect(await complete('status', '--namespace=shop', '')).toEqual(['fraud', 'ranking'])
  })

  test('one name, not two', async () => {
    expect(await complete('status', 'silero', '')).toEqual([])
    expect(await complete('promote', '--reason', 'why not', '')).toEqual(['silero'])
  })

  test('namespaces, flags, shells', async () => {
    expect(await complete('why', '-n', '')).toEqual(['default', 'shop'])
    expect(await complete('watch', '--t')).toEqual(['--timeout'])
    expect(await complete('completion', '')).toEqual(['bash', 'zsh', 'kubectl'])
  })

  test('files where a file is meant, and nowhere else', async () => {
    expect(
      (
        await suggest(
          programFor(terminal, () => {}),
          ['plan', '-f', ''],
          known,
        )
      ).files,
    ).toBe(true)
    expect(renderSuggestions({ words: ['a', 'b'], files: false })).toBe('a\nb\n:4\n')
    expect(renderSuggestions({ words: [], files: true })).toBe(':0\n')
  })
})
