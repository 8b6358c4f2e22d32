import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { createGroup, groupFolders, isUnified } from './cgroups.ts'

describe('control groups', () => {
  test('of cgroup v1 are made in every hierarchy, with the cpuset filled in', async () => {
    const root = mkdtempSync(join(tmpdir(), 'slipway-cgroups-'))
    for (const name of ['memory', 'cpuset', 'cpuset/group']) mkdirSync(join(root, name))
    for (const file of ['cpuset/cpuset.cpus', 'cpuset/cpuset.mems']) writeFileSync(join(root, file), '0-1\n')
    // The kernel makes these files with the folder.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) writeFileSync(join(root, 'cpuset', 'group', file), '\n')
    expect(isUnified(root)).toBe(false)
    await createGroup('group', root)
    expect(groupFolders('group', root)).toEqual([join(root, 'cpuset', 'group'), join(root, 'memory', 'group')])
    expect(readFileSync(join(root, 'cpuset', 'group', 'cpuset.cpus'), 'utf8')).toBe('0-1\n')
    rmSync(root, { recursive: true })
  })

  test('of cgroup v2 are made after their controllers are handed down; a missing controller is named', async () => {
    const root = mkdtempSync(join(tmpdir(), 'slipway-cgroups-'))
    writeFileSync(join(root, 'cgroup.controllers'), 'cpuset cpu io memory pids\n')
    writeFileSync(join(root, 'cgroup.subtree_control'), 'memory\n')
    await createGroup('group', root)
    expect(groupFolders('group', root)).toEqual([join(root, 'group')])
    expect(readFileSync(join(root, 'cgroup.subtree_control'), 'utf8')).toBe('+cpuset +cpu +pids')
    writeFileSync(join(root, 'cgroup.controllers'), 'cpu memory\n')
    await expect(createGroup('group', root)).rejects.toThrow(/no cgroup controller cpuset, pids/)
    rmSync(root, { recursive: true })
  })
})
