import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { resource } from '../../../operator/kube/resources.ts'
import { eventually } from './eventually.ts'
import type { Play } from './hands.ts'
import { conditionOf, openStage, revisionOf, uriOf, type Stage, type WrittenSpec } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
  await stage.start()
})

afterAll(async () => stage.close())

const resourcequotas = resource('', 'v1', 'resourcequotas', 'ResourceQuota')
const good = (rest: Partial<WrittenSpec> = {}): WrittenSpec => ({ model: { uri: uriOf('good') }, ...rest })
const bad = (rest: Partial<WrittenSpec> = {}): WrittenSpec => ({ model: { uri: uriOf('bad') }, ...rest })

interface Case {
  readonly name: string
  readonly play: Play
  readonly spec?: Partial<WrittenSpec>
  readonly reason: string
  readonly message: RegExp
}

const cases: readonly Case[] = [
  {
    name: 'image',
    play: { do: 'wait', reason: 'ErrImagePull', message: 'failed to resolve reference: not found' },
    reason: 'ImagePullFailed',
    message:
      /^Image "registry\.test\/slipway-runtime@sha256:1+" cannot be pulled: failed to resolve reference: not found\. Correct spec\.runtime\.image, or give the nodes access to it\./,
  },
  {
    name: 'room',
    play: { do: 'refuse', message: '0/3 nodes are available: 3 node(s) had untolerated taint {gpu: yes}.' },
    reason: 'Unschedulable',
    message:
      /^No node can take pod room-[-a-z0-9]+: 0\/3 nodes are available: 3 node\(s\) had untolerated taint \{gpu: yes\}\. Lower spec\.resources or add nodes\./,
  },
  {
    name: 'memory',
    play: { do: 'end', exitCode: 137, reason: 'OOMKilled' },
    spec: { resources: { limits: { memory: '64Mi' } } },
    reason: 'InsufficientMemory',
    message:
      /^Container runtime of pod memory-[-a-z0-9]+ was killed because it used more memory than its limit of 64Mi\. Raise spec\.resources\.limits\.memory\./,
  },
  {
    name: 'crash',
    play: { do: 'end', exitCode: 1, message: 'the session could not be made' },
    reason: 'PodCrashed',
    message: /^Container runtime of pod crash-[-a-z0-9]+ exited with code 1: the session could not be made\./,
  },
]

describe('pods that do not come up', () => {
  test.each(cases)(
    'are explained while there is time, and rejected at the deadline, with the old version serving on: $reason',
    async ({ name, play, spec, reason, message }) => {
      stage.hands.rule(({ deployment, does, uri }) =>
        deployment === name && does === 'serve' && uri === uriOf('bad') ? play : undefined,
      )
      await stage.apply(name, good())
      const { status: before } = await stage.ready(name)
      const revision = revisionOf(name, bad(spec))
      await stage.apply(name, bad({ ...spec, rollout: { deadlines: { provision: '3s' } } }))
      const waiting = await stage.says(name, 'Reconciling', 'True', reason)
      expect(waiting.message).toMatch(message)
      expect(waiting.message).toMatch(/keeps serving\.$/)

      const { message: verdict } = await stage.says(name, 'Stalled', 'True', reason)
      const start = `${revision} was rejected: No progress within 3s (spec.rollout.deadlines.provision): `
      expect(verdict.startsWith(start)).toBe(true)
      expect(verdict.slice(start.length)).toMatch(message)
      const rejected = await stage.get(name)
      expect(conditionOf(rejected, 'Available')).toMatchObject({ status: 'True', reason: 'Serving' })
      expect(rejected.status?.stable).toEqual(before?.stable)
      await eventually('the rejected pods are gone', async () => {
        const { deployments } = await stage.children(name)
        return !Object.hasOwn(deployments, revision)
      })
      // Waiting and the verdict, each once.
      const told = (await stage.events(name)).filter((e) => e.type === 'Warning')
      expect(told.map((e) => [e.reason, e.count])).toEqual([
        [reason, 1],
        [reason, 1],
      ])
    },
  )

  test('that crash again and again are rejected without waiting for the deadline', async () => {
    stage.hands.rule(({ deployment, does, uri }) =>
      deployment === 'again' && does === 'serve' && uri === uriOf('bad')
        ? { do: 'end', exitCode: 1, message: 'no', restarts: 3 }
        : undefined,
    )
    await stage.apply('again', bad())
    expect((await stage.says('again', 'Stalled', 'True', 'PodCrashed')).message).toMatch(
      /was rejected: Container runtime of pod again-[-a-z0-9]+ exited with code 1: no\./,
    )
  })

  test('because a quota refuses them are explained in the words of the quota, and come when it is raised', async () => {
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'small', namespace: stage.namespace },
      // Pods that exist stay; no other is made.
      spec: { hard: { 'count/pods': '0' } },
    }
    await stage.apply('quota', good())
    await stage.ready('quota')
    await stage.client.create(resourcequotas, quota)
    await stage.apply('quota', good({ replicas: 2 }))
    const { message } = await stage.says('quota', 'Reconciling', 'True', 'InsufficientCapacity')
    expect(message).toMatch(
      /has 1 of 2 pods ready\. Pods of .* are refused: pods ".*" is forbidden: exceeded quota: small/,
    )
    expect(conditionOf(await stage.get('quota'), 'Available')?.status).toBe('True')
    await stage.client.delete(resourcequotas, stage.namespace, 'small')
    await stage.ready('quota')
  })

  test('because no node has room wait without a deadline, and go on when there is', async () => {
    await stage.apply('full', good())
    await stage.ready('full')
    const noRoom = stage.hands.rule(({ deployment, does, uri }) =>
      deployment === 'full' && does === 'serve' && uri === uriOf('bad')
        ? { do: 'refuse', message: '0/1 nodes are available: 1 Insufficient example.com/gpu.' }
        : undefined,
    )
    await stage.apply('full', bad({ rollout: { deadlines: { provision: '1s' } } }))
    const { message } = await stage.says('full', 'Stalled', 'True', 'InsufficientCapacity')
    // This operator may look at one namespace only, so the words are the scheduler's.
    expect(message).toMatch(
      /^No node has room for pod full-.*: 0\/1 nodes are available: 1 Insufficient example\.com\/gpu\./,
    )
    expect(message).toMatch(/keeps serving\.$/)
    await new Promise((resolve) => setTimeout(resolve, 3000))
    expect((await stage.get('full')).status?.rejected ?? []).toEqual([])
    noRoom()
    expect((await stage.ready('full')).status?.stable?.revision).toBe(revisionOf('full', bad()))
  })

  test('are not made at all while a quota leaves too little for them, and come when it is raised', async () => {
    await stage.apply('tight', good())
    await stage.ready('tight')
    const limits = { resources: { requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1' } } }
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'gpus', namespace: stage.namespace },
      spec: { hard: { 'requests.example.com/gpu': '1' } },
    }
    await stage.client.create(resourcequotas, quota)
    await eventually('the quota is counted', async () => {
      const { items } = await stage.client.list(resourcequotas, { namespace: stage.namespace })
      return items.some((item) => 'status' in item && JSON.stringify(item.status).includes('used'))
    })
    await stage.apply('tight', bad({ ...limits, replicas: 2 }))
    const { message } = await stage.says('tight', 'Stalled', 'True', 'InsufficientCapacity')
    expect(message).toMatch(
      /^ResourceQuota gpus leaves no room for 2 more pods: asked 2 requests\.example\.com\/gpu, and 1 of 1 are left\. .*keeps serving\.$/,
    )
    const revision = revisionOf('tight', bad({ ...limits, replicas: 2 }))
    const made = await stage.children('tight')
    expect(made.revisions).toContain(revision)
    expect(Object.keys(made.deployments)).not.toContain(revision)
    const hard = { 'requests.example.com/gpu': '2' }
    await stage.client.mergePatch(resourcequotas, stage.namespace, 'gpus', { spec: { hard } })
    expect((await stage.ready('tight')).status?.stable?.revision).toBe(revision)
  })
})
