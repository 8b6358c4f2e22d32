// Writes kubeconfig files that stand alone: certificates are inside, so the file works from any folder.
import { readFile, writeFile } from 'node:fs/promises'
import { keyPair } from './certificates.ts'

/**
 * Writes a kubeconfig for the client certificate `user` of the cluster in `dir`.
 * @param server such as `https://127.0.0.1:6443`
 */
export async function writeKubeconfig(path: string, dir: string, server: string, user: string): Promise<void> {
  const pair = keyPair(dir, user)
  const read = async (file: string): Promise<string> => (await readFile(file)).toString('base64')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'slipway',
    contexts: [{ name: 'slipway', context: { cluster: 'slipway', user } }],
    clusters: [
      {
        name: 'slipway',
        cluster: { server, 'certificate-authority-data': await read(keyPair(dir, 'ca').certificate) },
      },
    ],
    users: [
      {
        name: user,
        user: {
          'client-certificate-data': await read(pair.certificate),
          'client-key-data': await read(pair.key),
        },
      },
    ],
  }
  // JSON is YAML; every reader of kubeconfig files takes it.
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
}
