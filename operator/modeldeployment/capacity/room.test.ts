import { describe, expect, test } from '@jest/globals'
import type { Node, Pod } from '../../kube/resources.ts'
import { amountsOf, inWords, type PodResources } from './amounts.ts'
import type { Placement } from './placement.ts'
import { roomFor } from './room.ts'

const node = (name: string, allocatable: Record<string, string>, spec: object = {}, labels = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec,
  status: { allocatable },
})
const taking = (nodeName: string, requests: Record<string, string>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'x' },
  spec: { nodeName, containers: [{ name: 'c', resources: { requests } }] },
})
const asking = (requests: Record<string, string>, placement: Placement = {}): PodResources & Placement => ({
  ...placement,
  containers: [{ resources: { requests } }],
})

describe('the room that is left', () => {
  test('says what is asked and, of each node, what it lacks', () => {
    const nodes = [
      node('a', { cpu: '2', memory: '8Gi', pods: '110' }),
      node('b', { cpu: '4', memory: '1Gi', pods: '110' }),
    ]
    const pods = [taking('a', { cpu: '1500m' }), taking('b', { memory: '512Mi' })]
    expect(roomFor(asking({ cpu: '1', memory: '1Gi' }), 2, { nodes, pods })).toBe(
      '2 pods wait for room and each asks for 1 cpu and 1Gi memory. Free: a 0.5 of 2 cpu; b 512Mi of 1Gi memory.',
    )
  })

  test('counts devices by their name, and says where there is none of the kind', () => {
    const nodes = [
      node('a', { cpu: '2', 'nvidia.com/gpu': '2', pods: '110' }),
      node('b', { cpu: '2', 'nvidia.com/gpu': '0', pods: '110' }),
    ]
    const pods = [taking('a', { 'nvidia.com/gpu': '2' })]
    expect(roomFor(asking({ 'nvidia.com/gpu': '1' }), 1, { nodes, pods })).toBe(
      '1 pod waits for room and asks for 1 nvidia.com/gpu. Free: a 0 of 2 nvidia.com/gpu; b no nvidia.com/gpu.',
    )
  })

  test('is told in the same words whatever the order that the API server gives', () => {
    const nodes = [node('a', { pods: '110' })]
    const requests = [
      { cpu: '1', 'nvidia.com/gpu': '1', memory: '1Gi' },
      { memory: '1Gi', 'nvidia.com/gpu': '1', cpu: '1' },
    ]
    const [one, other] = requests.map((r) => roomFor(asking(r), 1, { nodes, pods: [] }))
    expect(one).toContain('asks for 1 nvidia.com/gpu, 1 cpu and 1Gi memory.')
    expect(other).toBe(one)
  })

  test('counts pods too: a node can be full of small ones', () => {
    const nodes = [node('a', { cpu: '2', pods: '1' })]
    expect(roomFor(asking({ cpu: '1' }), 1, { nodes, pods: [taking('a', {})] })).toContain('Free: a 0 of 1 pods.')
  })

  test('names the nodes that are out of the question, and why', () => {
    const nodes = [
      node('cordoned', { cpu: '9' }, { unschedulable: true }),
      node('tainted', { cpu: '9' }, { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] }),
      node('elsewhere', { cpu: '9' }, {}, { zone: 'b' }),
      node('other', { cpu: '9' }, {}, { zone: 'a', kind: 'small' }),
    ]
    const required = {
      nodeSelectorTerms: [{ matchExpressions: [{ key: 'kind', operator: 'NotIn', values: ['small'] }] }],
    }
    const pod = asking(
      { cpu: '1' },
      {
        nodeSelector: { zone: 'a' },
        affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } },
      },
    )
    expect(roomFor(pod, 1, { nodes, pods: [] })).toBe(
      '1 pod waits for room and asks for 1 cpu. Not for it: cordoned is cordoned; tainted has the taint gpu=yes:NoSchedule; elsewhere has no label zone=a; other does not match the node affinity.',
    )
  })

  test('a tolerated taint, and one that only prefers other pods, bar nobody', () => {
    const taints = [
      { key: 'gpu', effect: 'NoSchedule' },
      { key: 'old', effect: 'PreferNoSchedule' },
    ]
    const nodes = [node('a', { cpu: '1', pods: '9' }, { taints })]
    const pod = asking({ cpu: '2' }, { tolerations: [{ key: 'gpu', operator: 'Exists' }] })
    expect(roomFor(pod, 1, { nodes, pods: [] })).toContain('Free: a 1 of 1 cpu.')
  })

  test('names five nodes and counts the rest', () => {
    const nodes = Array.from({ length: 8 }, (_, index) => node(`n${index}`, { cpu: '1', pods: '9' }))
    expect(roomFor(asking({ cpu: '2' }), 1, { nodes, pods: [] })).toMatch(/n4 1 of 1 cpu; and 3 more nodes\.$/)
  })
})

describe('what a pod takes', () => {
  test('is the sum of its containers and sidecars, or its greatest init container beside the sidecars before it', () => {
    const of = (cpu: string) => ({ resources: { requests: { cpu } } })
    const pod = {
      containers: [of('1'), of('500m')],
      initContainers: [{ ...of('250m'), restartPolicy: 'Always' }, of('3')],
    }
    expect(amountsOf(pod)).toEqual({ cpu: 3250n })
    expect(amountsOf({ containers: pod.containers })).toEqual({ cpu: 1500n })
  })

  test('a request that is not written is the limit', () => {
    expect(amountsOf({ containers: [{ resources: { limits: { 'nvidia.com/gpu': 1 } } }] })).toEqual({
      'nvidia.com/gpu': 1000n,
    })
  })

  test.each([
    ['cpu', 1500n, '1.5'],
    ['memory', 1_500n * 1024n * 1024n * 1000n, '1.4Gi'],
    ['requests.memory', 512n * 1024n * 1000n, '512Ki'],
    ['nvidia.com/gpu', 2000n, '2'],
  ])('%s %s reads %s', (name, milli, words) => {
    expect(inWords(name, milli)).toBe(words)
  })
})
