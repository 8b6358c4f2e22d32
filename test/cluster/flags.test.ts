import { expect, test } from '@jest/globals'
import { clusterAddresses } from './addresses.ts'
import { opensslConfig } from './certificates.ts'
import { dnsObjects, renderCorefile } from './dns.ts'
import { apiserverFlags, etcdFlags } from './flags.ts'
import { nodePaths } from './node.ts'
import { containerdConfiguration, kubeletConfiguration } from './nodeconfig.ts'

test('an authority may sign and nothing else may; addresses and names are told apart', () => {
  const authority = opensslConfig({ name: 'ca', commonName: 'ca' }, true)
  expect(authority).toContain('CA:TRUE')
  expect(authority).not.toContain('subjectAltName')
  const server = opensslConfig({ name: 's', commonName: 's', organization: 'o', names: ['a.b', '10.0.0.1'] }, false)
  expect(server).toContain('CA:FALSE')
  expect(server).toContain('subjectAltName = DNS:a.b,IP:10.0.0.1')
  expect(server).toContain('O = o\nCN = s')
})

test('etcd listens on loopback only, the API server on one address only', () => {
  const plan = {
    dir: '/d',
    address: '10.250.0.1',
    ports: { api: 6443, etcd: 1, etcdPeer: 2 },
    serviceCidr: '10.96.0.0/16',
    hasNodes: true,
  }
  expect(etcdFlags(plan).filter((flag) => flag.includes('http'))).toEqual(
    expect.not.arrayContaining([expect.stringMatching(/http:\/\/(?!127\.0\.0\.1)/)]),
  )
  expect(apiserverFlags(plan)).toEqual(
    expect.arrayContaining([
      '--bind-address=10.250.0.1',
      '--authorization-mode=Node,RBAC',
      '--audit-log-path=/d/audit.log',
    ]),
  )
})

test('a node’s files lead to its own folder, group and registry', () => {
  const addresses = clusterAddresses('x', 3, 2)
  const [, node] = addresses.nodes
  if (!node) throw new Error('there are two nodes')
  const paths = nodePaths('/d', node)
  expect(kubeletConfiguration('/d', addresses, node, paths)).toMatchObject({
    address: '10.250.3.3',
    cgroupRoot: '/slipway-x-node-2',
    clusterDNS: ['10.99.0.10'],
  })
  const settings = {
    paths,
    sandboxImage: 'i',
    mirrors: '/d/certs.d',
    cniPlugins: '/p',
    snapshotter: 'overlayfs',
  } as const
  const toml = containerdConfiguration(settings)
  expect(toml).toContain('root = "/d/node-2/containerd"')
  expect(toml).toContain('config_path = "/d/certs.d"')
})

test('DNS is asked at the cluster’s usual address, answers on the bridge, and knows nothing outside', () => {
  const addresses = clusterAddresses('x', 0, 1)
  const [[, service] = [], [, slice] = []] = dnsObjects(addresses)
  expect(service).toMatchObject({ spec: { clusterIP: '10.96.0.10', ports: [{ port: 53 }, { port: 53 }] } })
  expect(slice).toMatchObject({ endpoints: [{ addresses: ['10.250.0.1'] }], ports: [{ port: 10053 }, { port: 10053 }] })
  expect(renderCorefile(addresses, '/k')).not.toContain('forward')
})
