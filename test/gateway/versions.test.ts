import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

test('the tests use the version of the Gateway API that Envoy Gateway of the check is built for', () => {
  const versionIn = (folder: string): string | undefined => {
    const text = readFileSync(join(import.meta.dirname, folder, 'go.mod'), 'utf8')
    return /sigs[.]k8s[.]io\/gateway-api (v[\d.]+)/.exec(text)?.[1]
  }
  expect(versionIn('crds')).toMatch(/^v1[.]/)
  expect(versionIn('crds')).toBe(versionIn('binaries'))
})
