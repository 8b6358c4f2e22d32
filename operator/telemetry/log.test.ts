import { Writable } from 'node:stream'
import { expect, test } from '@jest/globals'
import { createLogger } from './log.ts'

const capture = () => {
  const lines: Record<string, unknown>[] = []
  const stream = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(String(chunk)) as Record<string, unknown>)
      done()
    },
  })
  return { stream, lines }
}

test('an entry is one JSON line with ECS names, and a child adds its fields', () => {
  const { stream, lines } = capture()
  const log = createLogger({ level: 'info', service: 'slipway-operator', version: '1.2.3', stream })
  log.child({ controller: 'c' }).info('hello', { key: 'n/a' })
  expect(lines).toEqual([
    {
      '@timestamp': expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      'log.level': 'info',
      message: 'hello',
      'ecs.version': '8.17.0',
      'service.name': 'slipway-operator',
      'service.version': '1.2.3',
      controller: 'c',
      key: 'n/a',
    },
  ])
})

test('an error is unfolded, with its stack', () => {
  const { stream, lines } = capture()
  createLogger({ level: 'info', service: 's', stream }).error('it failed', { error: new TypeError('no such thing') })
  expect(lines[0]).toMatchObject({
    'error.type': 'TypeError',
    'error.message': 'no such thing',
    'error.stack_trace': expect.stringContaining('log.test.ts'),
  })
})

test('levels below the one asked for are left out', () => {
  const { stream, lines } = capture()
  const log = createLogger({ level: 'warn', service: 's', stream })
  log.debug('a')
  log.info('b')
  log.warn('c')
  log.error('d')
  expect(lines.map(({ message }) => message)).toEqual(['c', 'd'])
})
