import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { isNewEnough } from './go.ts'
import { GO_MINIMUM, GO_TOOLCHAIN, KUBERNETES_VERSION } from './version.ts'

describe('versions', () => {
  test('the Kubernetes version is the one that go.mod builds, with every staging module to match', () => {
    const module = readFileSync(join(import.meta.dirname, 'binaries', 'go.mod'), 'utf8')
    expect(module).toContain(`k8s.io/kubernetes v${KUBERNETES_VERSION}\n`)
    const staging = [...module.matchAll(/^replace|k8s\.io\/[a-z-]+ => k8s\.io\/[a-z-]+ (v\S+)/gm)].flatMap(
      ([, version]) => version ?? [],
    )
    expect(staging.length).toBeGreaterThan(20)
    expect(new Set(staging)).toEqual(new Set([`v0.${KUBERNETES_VERSION.split('.').slice(1).join('.')}`]))
  })

  test('the Go that is fetched builds every module here', () => {
    for (const name of ['binaries', 'coredns', 'pause']) {
      const asked = /^go (\S+)$/m.exec(readFileSync(join(import.meta.dirname, name, 'go.mod'), 'utf8'))?.[1] ?? '99'
      expect([name, isNewEnough(GO_TOOLCHAIN, asked), isNewEnough(`${GO_MINIMUM}.0`, asked)]).toEqual([
        name,
        true,
        true,
      ])
    }
  })

  test('are compared by number, not by letter', () => {
    expect(isNewEnough('1.24', '1.24')).toBe(true)
    expect(isNewEnough('1.26.8', '1.24')).toBe(true)
    expect(isNewEnough('1.9', '1.24')).toBe(false)
    expect(isNewEnough('1.19.8', '1.24')).toBe(false)
    expect(isNewEnough('2.0', '1.24')).toBe(true)
    expect(isNewEnough('1.24', '1.24.1')).toBe(false)
  })
})
