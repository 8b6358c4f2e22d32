import { describe, expect, test } from '@jest/globals'
import { gzipSync } from 'node:zlib'
import { ofTheChart, troubleOf, waitsForRoom, type ContainerStatus, type PodView } from './trouble.ts'

const pod = (
  name: string,
  status: Partial<ContainerStatus>,
  rest: Partial<NonNullable<PodView['status']>> = {},
): PodView => ({
  metadata: { name },
  spec: {
    containers: [{ name: 'runtime', image: 'registry.example/runtime:1', resources: { limits: { memory: '64Mi' } } }],
  },
  status: { containerStatuses: [{ name: 'runtime', ...status }], ...rest },
})

describe('why pods are not ready', () => {
  const unscheduled = (message: string) =>
    pod('a', {}, { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] })

  test('a pod that no node may take says so in the scheduler’s words', () => {
    const tainted = '0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}'
    expect(troubleOf([unscheduled(tainted)])).toMatchObject({
      reason: 'Unschedulable',
      fatal: false,
      message: expect.stringContaining('untolerated taint'),
    })
    expect(waitsForRoom(unscheduled(tainted))).toBe(false)
  })

  test.each([
    '1 Insufficient cpu',
    '1 node(s) had untolerated taint {a: }, 2 Insufficient nvidia.com/gpu',
    '1 Too many pods',
  ])('a pod that some node would take if it had room waits for capacity: %s', (words) => {
    const waiting = unscheduled(`0/3 nodes are available: ${words}.`)
    expect(troubleOf([waiting])).toMatchObject({
      reason: 'InsufficientCapacity',
      fatal: false,
      message: expect.stringContaining(words),
    })
    expect(waitsForRoom(waiting)).toBe(true)
  })

  test('an image that cannot be pulled reads the same while the kubelet alternates between trying and waiting', () => {
    const trying = pod('a', { state: { waiting: { reason: 'ErrImagePull', message: 'not found' } } })
    const waiting = pod('a', {
      state: {
        waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x": ErrImagePull: not found' },
      },
    })
    expect(troubleOf([trying])).toEqual(troubleOf([waiting]))
    expect(troubleOf([trying])?.message).toContain('registry.example/runtime:1')
  })

  test('of a router is mended in the values of the chart, not in a spec', () => {
    const trying = pod('a', { state: { waiting: { reason: 'ErrImagePull', message: 'not found' } } })
    expect(troubleOf([trying], ofTheChart)?.message).toBe(
      `Image "registry.example/runtime:1" cannot be pulled: not found. ${ofTheChart.image}, or give the nodes access to it.`,
    )
  })

  test('a container killed for memory names its limit, and is given up after three restarts', () => {
    const killed = (restartCount: number) =>
      pod('a', { restartCount, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } })
    expect(troubleOf([killed(1)])).toMatchObject({
      reason: 'InsufficientMemory',
      fatal: false,
      message: expect.stringContaining('64Mi'),
    })
    expect(troubleOf([killed(3)])).toMatchObject({ fatal: true })
  })

  test('what the fetch step says at its end is passed on as it is, packed or not', () => {
    const said = JSON.stringify({
      ok: false,
      code: 'DigestMismatch',
      message: 'The file is another one.',
      retryable: false,
    })
    const packed = `gz:${gzipSync(said).toString('base64')}`
    for (const message of [said, packed]) {
      expect(troubleOf([pod('a', { state: { terminated: { exitCode: 1, message } } })])).toEqual({
        reason: 'DigestMismatch',
        message: 'The file is another one.',
        fatal: true,
      })
    }
  })

  test('a crash quotes the last line of the log, and of a JSON line its message', () => {
    const log = 'first\n{"log.level":"error","message":"cannot open the model"}\n'
    expect(troubleOf([pod('a', { state: { terminated: { exitCode: 134, message: log } } })])?.message).toBe(
      'Container runtime of pod a exited with code 134: cannot open the model.',
    )
  })

  test('a fatal trouble of one pod outweighs a passing one of another, and a leaving pod does not count', () => {
    const passing = pod('a', { state: { waiting: { reason: 'ErrImagePull' } } })
    const fatal = pod('b', { restartCount: 5, state: { terminated: { exitCode: 1 } } })
    expect(troubleOf([passing, fatal])?.reason).toBe('PodCrashed')
    const leaving = { ...fatal, metadata: { name: 'b', deletionTimestamp: '2026-01-01T00:00:00Z' } }
    expect(troubleOf([passing, leaving])?.reason).toBe('ImagePullFailed')
  })

  test('pods that run and are ready are no trouble', () => {
    expect(
      troubleOf([pod('a', { ready: true, state: { running: {} }, lastState: { terminated: { exitCode: 1 } } })]),
    ).toBeUndefined()
  })
})
