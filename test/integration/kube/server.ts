// What the tests of operator/kube and operator/controller stand on: a client of the test's API server, a namespace of
// one's own, and a plain TCP relay in front of the server that can be cut.
import { randomBytes } from 'node:crypto'
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { KubeClient } from '../../../operator/kube/client.ts'
import { loadCredentials, type Credentials } from '../../../operator/kube/credentials.ts'
import { namespaces, type ConfigMap, type Deployment } from '../../../operator/kube/resources.ts'
import { Transport } from '../../../operator/kube/transport.ts'
import type { OwnerReference } from '../../../operator/kube/types.ts'

export const kubeconfig = (): string => {
  const file = process.env['SLIPWAY_TEST_KUBECONFIG']
  if (file === undefined)
    throw new Error('SLIPWAY_TEST_KUBECONFIG is not set: run this through the integration project')
  return file
}

export const credentials = (): Promise<Credentials> => loadCredentials({ kubeconfig: kubeconfig() })

export interface Connected {
  readonly client: KubeClient
  readonly registry: Registry
  /** How many requests were sent, by method. */
  sent(method: string): Promise<number>
  close(): Promise<void>
}

/** A client with metrics of its own. @param server another address of the same server: a relay's */
export const connect = async (server?: string): Promise<Connected> => {
  const known = await credentials()
  const registry = new Registry()
  // `current` and `refresh` close over their own state, so a copy with another address is the same identity.
  const transport = new Transport({ credentials: server === undefined ? known : { ...known, server }, registry })
  return {
    client: new KubeClient(transport),
    registry,
    sent: async (method) => {
      const metric = await registry.getSingleMetric('rest_client_requests_total')?.get()
      return (metric?.values ?? [])
        .filter(({ labels }) => labels['method'] === method)
        .reduce((sum, { value }) => sum + value, 0)
    },
    close: () => transport.close(),
  }
}

/** A namespace of a test's own. It is removed by whoever stops the control plane. */
export const createNamespace = async (client: KubeClient): Promise<string> => {
  const name = `kube-${randomBytes(4).toString('hex')}`
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  return name
}

/** A lease in a tenth of the time: the holder gives up after 1.2 s, others wait for 2 s. */
export const leaseTimes = { leaseDurationMs: 2000, renewDeadlineMs: 1200, retryPeriodMs: 200 }

/** Waits until `check` answers something; with what it answered last when it takes too long. */
export const until = async <T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> => {
  const deadline = performance.now() + 90_000
  for (;;) {
    const result = await check()
    if (result !== undefined && result !== false) return result
    if (performance.now() > deadline) throw new Error(`waited 90 s in vain: ${what}`)
    await sleep(25)
  }
}

export const configMap = (namespace: string, name: string, more: Partial<ConfigMap> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  ...more,
  metadata: { name, namespace, ...more.metadata },
})

export const deployment = (namespace: string, name: string, owner: OwnerReference, replicas: number): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace, labels: { app: name }, ownerReferences: [owner] },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        containers: [
          {
            name: 'main',
            image: 'example.test/none:1',
            resources: { requests: { cpu: '1000m', memory: '1Gi' }, limits: { memory: '1024Mi' } },
            env: [{ name: 'A', value: '1' }],
            ports: [{ name: 'http', containerPort: 8080 }],
          },
        ],
      },
    },
  },
})

/** The reference of a child to the ConfigMap that controls it. */
export const ownedBy = ({ metadata }: ConfigMap): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: metadata.name,
  uid: metadata.uid ?? '',
  controller: true,
})

export interface Relay {
  /** The API server's address through the relay; its certificate names loopback too. */
  readonly server: string
  /** Resets every connection and refuses new ones. */
  cut(): void
  /** Takes connections again. */
  heal(): void
  close(): Promise<void>
}

/** Bytes both ways between loopback and the API server, and nothing else. */
export const startRelay = async (target: string): Promise<Relay> => {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let isCut = false
  const listener = createServer((inward) => {
    if (isCut) {
      inward.resetAndDestroy()
      return
    }
    const outward = connectTcp(Number(port), hostname)
    for (const [from, to] of [
      [inward, outward],
      [outward, inward],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const cut = (): void => {
    isCut = true
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    server: `https://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    cut,
    heal: () => {
      isCut = false
    },
    close: async () => {
      cut()
      listener.close()
      await once(listener, 'close')
    },
  }
}
