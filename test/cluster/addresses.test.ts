import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { clusterAddresses, MAX_CLUSTERS, MAX_NODES } from './addresses.ts'
import { addressIn } from './flags.ts'
import { clusterDir } from './state.ts'

describe('addresses', () => {
  test('of two clusters never meet, whatever their indexes, and fit the kernel’s names for links', () => {
    const index = fc.integer({ min: 0, max: MAX_CLUSTERS - 1 })
    fc.assert(
      fc.property(index, index, fc.integer({ min: 1, max: MAX_NODES }), (one, other, nodes) => {
        fc.pre(one !== other)
        const used = [one, other].map((chosen) => {
          const { host, bridge, serviceCidr, nodes: list } = clusterAddresses(`c${chosen}`, chosen, nodes)
          const ofNodes = list.flatMap((node) => [node.address, node.podCidr, node.link, node.cgroup])
          return [host, bridge, serviceCidr, ...ofNodes]
        })
        const all = used.flat()
        expect(new Set(all).size).toBe(all.length)
        expect(
          all.filter((name) => name.startsWith('slipway') && !name.includes('-')).every((n) => n.length < 16),
        ).toBe(true)
      }),
    )
  })

  test('of the default cluster are the documented ones', () => {
    expect(clusterAddresses('default', 0, 1)).toMatchObject({
      host: '10.250.0.1',
      registry: '10.250.0.1:5000',
      dnsService: '10.96.0.10',
      nodes: [{ name: 'node-1', address: '10.250.0.2', podCidr: '10.244.1.0/24' }],
    })
    expect(addressIn('10.96.0.0/16', 1)).toBe('10.96.0.1')
  })
})

test('a cluster name that could leave its folder is refused', () => {
  expect(clusterDir('a-1')).toMatch(/\/clusters\/a-1$/)
  for (const name of ['', '..', 'a/b', '-a', 'A', 'a'.repeat(21)])
    expect(() => clusterDir(name)).toThrow(/cluster name/)
})
