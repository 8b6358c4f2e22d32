import { expect, test } from '@jest/globals'
import { CONTROL_PLANE_PACKAGES, missingPackages, NODE_PACKAGES } from './packages.ts'

test('packages are missing when nothing of what they provide is found, and are named as the distribution names them', () => {
  expect(missingPackages(NODE_PACKAGES, () => true)).toEqual([])
  expect(missingPackages(CONTROL_PLANE_PACKAGES, () => false)).toEqual([
    'etcd-server',
    'openssl',
    'util-linux',
    'ca-certificates',
  ])
  const otherDistribution = (provided: string): boolean => !provided.startsWith('/usr/lib/cni')
  expect(missingPackages(NODE_PACKAGES, otherDistribution)).toEqual([])
  expect(missingPackages(NODE_PACKAGES, (provided) => provided !== 'ip')).toEqual(['iproute2'])
})
