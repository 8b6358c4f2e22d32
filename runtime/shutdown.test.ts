import { describe, expect, jest, test } from '@jest/globals'
import { EventEmitter } from 'node:events'
import { endBroken, onTermination, type Drain } from './shutdown.ts'

const setUp = (finish: () => Promise<void>, loading = false) => {
  const signals = new EventEmitter()
  const story: string[] = []
  const drain: Drain = { delayMs: 1000, announce: () => story.push('announced'), finish }
  onTermination(
    signals,
    () => (loading ? undefined : drain),
    (code) => story.push(`exit ${code}`),
    () => story.push('failed'),
  )
  return { signals, story }
}

describe('a termination signal', () => {
  test('announces at once, finishes after the delay, and ends with 0', async () => {
    jest.useFakeTimers()
    const { signals, story } = setUp(async () => void story.push('finished'))
    signals.emit('SIGTERM')
    expect(story).toEqual(['announced'])
    await jest.advanceTimersByTimeAsync(999)
    expect(story).toEqual(['announced'])
    await jest.advanceTimersByTimeAsync(1)
    expect(story).toEqual(['announced', 'finished', 'exit 0'])
    jest.useRealTimers()
  })

  test('while loading ends the process at once', () => {
    const { signals, story } = setUp(() => Promise.resolve(), true)
    signals.emit('SIGTERM')
    expect(story).toEqual(['exit 0'])
  })

  test('that comes a second time ends the process at once', () => {
    jest.useFakeTimers()
    const { signals, story } = setUp(() => Promise.resolve())
    signals.emit('SIGTERM')
    signals.emit('SIGINT')
    expect(story).toEqual(['announced', 'exit 0'])
    jest.useRealTimers()
  })

  test('whose drain fails ends with 1', async () => {
    jest.useFakeTimers()
    const { signals, story } = setUp(() => Promise.reject(new Error('no')))
    signals.emit('SIGTERM')
    await jest.advanceTimersByTimeAsync(1000)
    expect(story).toEqual(['announced', 'failed', 'exit 1'])
    jest.useRealTimers()
  })
})

describe('a server that has lost a worker', () => {
  const end = (finish: () => Promise<void>) => {
    const story: string[] = []
    const say = (words: string) => void story.push(words)
    void endBroken(
      { announce: () => say('announced'), finish },
      (code) => say(`exit ${code}`),
      () => say('failed'),
    )
    return story
  }

  test('announces and ends with 1 when the last answer is sent', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const story = end(() => promise)
    expect(story).toEqual(['announced'])
    resolve()
    await new Promise(setImmediate)
    expect(story).toEqual(['announced', 'exit 1'])
  })

  test('does not wait for ever for it', async () => {
    jest.useFakeTimers()
    const story = end(() => new Promise(() => {}))
    await jest.advanceTimersByTimeAsync(9999)
    expect(story).toEqual(['announced'])
    await jest.advanceTimersByTimeAsync(1)
    expect(story).toEqual(['announced', 'exit 1'])
    jest.useRealTimers()
  })

  test('ends with 1 when that fails', async () => {
    const story = end(() => Promise.reject(new Error('no')))
    await new Promise(setImmediate)
    expect(story).toEqual(['announced', 'failed', 'exit 1'])
  })
})
