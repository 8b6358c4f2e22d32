import { describe, expect, test } from '@jest/globals'
import type { ResourceQuota } from '../../kube/resources.ts'
import { quotaShortage } from './quota.ts'

const quota = (hard: Record<string, string>, used: Record<string, string>, spec: object = {}): ResourceQuota => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'team' },
  spec,
  status: { hard, used },
})
const pod = { containers: [{ resources: { requests: { cpu: '500m' }, limits: { cpu: '1', 'nvidia.com/gpu': 1 } } }] }

describe('what a quota leaves', () => {
  test('is enough up to the last thousandth, and too little one pod later', () => {
    const small = quota({ 'requests.cpu': '2' }, { 'requests.cpu': '1' })
    expect(quotaShortage([small], pod, 2)).toBeUndefined()
    expect(quotaShortage([small], pod, 3)).toBe(
      'ResourceQuota team leaves no room for 3 more pods: asked 1.5 requests.cpu, and 1 of 2 are left.',
    )
  })

  test('counts limits, devices and pods by the names of the quota', () => {
    expect(quotaShortage([quota({ 'limits.cpu': '1' }, { 'limits.cpu': '0' })], pod, 2)).toContain('asked 2 limits.cpu')
    expect(
      quotaShortage([quota({ 'requests.nvidia.com/gpu': '1' }, { 'requests.nvidia.com/gpu': '1' })], pod, 1),
    ).toContain('asked 1 requests.nvidia.com/gpu, and 0 of 1 are left')
    expect(quotaShortage([quota({ pods: '3' }, { pods: '3' })], pod, 1)).toContain('1 more pod: asked 1 pods')
  })

  test('says nothing about what the pod does not ask for, nor about pods of another scope', () => {
    expect(quotaShortage([quota({ services: '0', memory: '0' }, {})], pod, 1)).toBeUndefined()
    expect(quotaShortage([quota({ pods: '0' }, {}, { scopes: ['BestEffort'] })], pod, 1)).toBeUndefined()
    expect(quotaShortage([quota({ pods: '0' }, {}, { scopes: ['Terminating'] })], pod, 1)).toBeUndefined()
    expect(quotaShortage([quota({ pods: '0' }, {}, { scopes: ['NotBestEffort'] })], pod, 1)).toBeDefined()
  })

  test('no more pods need no room', () => {
    expect(quotaShortage([quota({ pods: '0' }, {})], pod, 0)).toBeUndefined()
  })
})
