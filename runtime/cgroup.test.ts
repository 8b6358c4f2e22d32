import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readCpuLimits, readMemoryLimit, readThrottling } from './cgroup.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'slipway-cgroup-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const machine = (files: Readonly<Record<string, string>>): void => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

describe('limits of cgroup version 2', () => {
  test('inside a container, where the own group is the root', () => {
    machine({
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/cpu.max': '150000 100000\n',
      'sys/fs/cgroup/memory.max': '536870912\n',
    })
    expect(readCpuLimits(root, 8)).toEqual({ cores: 8, quota: 1.5 })
    expect(readMemoryLimit(root)).toBe(536_870_912)
  })

  test('the tightest of a group and those above it counts', () => {
    machine({
      'proc/self/cgroup': '0::/kubepods/pod1/c1\n',
      'sys/fs/cgroup/kubepods/pod1/c1/cpu.max': 'max 100000\n',
      'sys/fs/cgroup/kubepods/pod1/cpu.max': '50000 100000\n',
      'sys/fs/cgroup/kubepods/cpu.max': '400000 100000\n',
      'sys/fs/cgroup/kubepods/pod1/c1/memory.max': '2000\n',
      'sys/fs/cgroup/kubepods/memory.max': '1000\n',
    })
    expect(readCpuLimits(root, 4)).toEqual({ cores: 4, quota: 0.5 })
    expect(readMemoryLimit(root)).toBe(1000)
  })

  test('no limit is no limit', () => {
    machine({
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/cpu.max': 'max 100000\n',
      'sys/fs/cgroup/memory.max': 'max\n',
    })
    expect(readCpuLimits(root, 4)).toEqual({ cores: 4, quota: undefined })
    expect(readMemoryLimit(root)).toBeUndefined()
  })
})

describe('limits of cgroup version 1', () => {
  test('with the path of the host, of which the container sees only the mount', () => {
    machine({
      'proc/self/cgroup': '5:memory:/kubepods/pod1/c1\n4:cpu,cpuacct:/kubepods/pod1/c1\n1:name=systemd:/x\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '250000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '268435456\n',
    })
    expect(readCpuLimits(root, 8)).toEqual({ cores: 8, quota: 2.5 })
    expect(readMemoryLimit(root)).toBe(268_435_456)
  })

  test('-1 and a number near 2^63 mean no limit', () => {
    machine({
      'proc/self/cgroup': '5:memory:/\n4:cpu,cpuacct:/\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    })
    expect(readCpuLimits(root, 8).quota).toBeUndefined()
    expect(readMemoryLimit(root)).toBeUndefined()
  })
})

test('a machine without cgroups has no limits', () => {
  expect(readCpuLimits(root, 3)).toEqual({ cores: 3, quota: undefined })
  expect(readMemoryLimit(root)).toBeUndefined()
})

describe('throttling', () => {
  test('is that of the own group, in version 2', () => {
    machine({
      'proc/self/cgroup': '0::/pod/c1\n',
      'sys/fs/cgroup/pod/c1/cpu.stat': 'usage_usec 5\nnr_periods 10\nnr_throttled 4\nthrottled_usec 2500000\n',
      'sys/fs/cgroup/cpu.stat': 'usage_usec 5\nnr_periods 99\nnr_throttled 99\nthrottled_usec 99\n',
    })
    expect(readThrottling(root)).toEqual({ periods: 10, throttledPeriods: 4, throttledSeconds: 2.5 })
  })

  test('is in nanoseconds in version 1', () => {
    machine({
      'proc/self/cgroup': '4:cpu,cpuacct:/c1\n',
      'sys/fs/cgroup/cpu,cpuacct/c1/cpu.stat': 'nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n',
    })
    expect(readThrottling(root)).toEqual({ periods: 10, throttledPeriods: 4, throttledSeconds: 2.5 })
  })

  test('is unknown where the kernel does not say', () => {
    machine({ 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.stat': 'usage_usec 5\n' })
    expect(readThrottling(root)).toBeUndefined()
  })
})
