// What every e2e test file starts from: the cluster, our images, Slipway by its chart, a namespace of its own with a
// model store in it. Test files share the cluster and the release; each cleans up its namespace.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCluster, type Cluster } from './cluster.ts'
import { installSlipway, type Images } from './install.ts'
import type { Shell } from './shell.ts'
import { storeFiles } from './storefiles.ts'

export interface E2E {
  readonly cluster: Cluster
  readonly shell: Shell
  readonly images: Images
  readonly namespace: string
  /** URL of the model store, as pods of the namespace reach it. */
  readonly store: string
  /** The real model's files here, for direct runs. */
  readonly models: { readonly v5: string; readonly v6: string }
  /** Looks every quarter of a second. @throws naming `what` when it does not become true in time */
  until(what: string, claim: () => Promise<boolean>, timeoutMs?: number): Promise<void>
  /** Deletes the namespace with all in it. */
  close(): Promise<void>
}

/**
 * @param name of the test file; the namespace is `e2e-<name>`
 * @param values of the chart. A resync every second: what a settled object does on a resync is done hundreds of times
 * under every test.
 */
export const e2e = async (name: string, values: readonly string[] = ['resyncInterval=1s']): Promise<E2E> => {
  const cluster = await openCluster()
  const { silero, files } = await storeFiles()
  const images = await cluster.images(files, (line) => process.stderr.write(`   ${line}\n`))
  const { shell } = cluster
  await installSlipway(shell, images, values)
  const namespace = `e2e-${name}`
  await shell.kubectl(['delete', 'namespace', namespace, '--ignore-not-found', '--wait', '--timeout=120s'])
  await shell.kubectl(['create', 'namespace', namespace])
  const store = readFileSync('examples/silero/store.yaml', 'utf8').replace(
    'image: slipway-modelstore',
    `image: ${images.modelstore}`,
  )
  await shell.kubectl(['apply', '-n', namespace, '-f', '-'], store)
  await shell.kubectl(['rollout', 'status', '-n', namespace, 'deployment/model-store', '--timeout=120s'])
  return {
    cluster,
    shell,
    images,
    namespace,
    store: 'http://model-store',
    models: silero,
    until: async (what, claim, timeoutMs = 120_000) => {
      for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(250)) if (await claim()) return
      throw new Error(`"${what}" did not come true within ${timeoutMs / 1000} s`)
    },
    close: async () => {
      await shell.kubectl(['delete', 'namespace', namespace, '--wait', '--timeout=120s'])
    },
  }
}
