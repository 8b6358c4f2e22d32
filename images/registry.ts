// Asks a registry what it has. Reads only; pushing is the engine's.

export interface Manifest {
  readonly digest: string
  /** Digest of the image's configuration: what engines call the image's id. */
  readonly configDigest: string
  /** Bytes that a node downloads: every layer and the configuration. */
  readonly sizeBytes: number
}

/** True for a host name or address that only this machine or its private network can mean. */
export function isPrivateHost(host: string): boolean {
  const name = host.replace(/:\d+$/, '')
  return name === 'localhost' || /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)\d/.test(name)
}

/**
 * The manifest under a tag of a registry that speaks plain HTTP, or undefined when there is none.
 * @throws Error when the registry does not answer
 */
export async function readManifest(host: string, repository: string, tag: string): Promise<Manifest | undefined> {
  const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'
  const url = `http://${host}/v2/${repository}/manifests/${tag}`
  const answer = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(10_000) }).catch(
    (error: unknown) => {
      throw new Error(
        `The registry ${host} does not answer: ${String(error instanceof Error ? (error.cause ?? error) : error)}`,
      )
    },
  )
  const body = await answer.text()
  const digest = answer.headers.get('docker-content-digest')
  if (answer.status !== 200 || digest === null) return undefined
  const manifest = JSON.parse(body) as { config: Blob; layers: Blob[] }
  const sizeBytes = [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, 0)
  return { digest, configDigest: manifest.config.digest, sizeBytes }
}

interface Blob {
  readonly digest: string
  readonly size: number
}
