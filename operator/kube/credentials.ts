// Who we are to the API server and how we trust it. In a cluster the token and the CA are read by ourselves, again and
// again, because both rotate; elsewhere a kubeconfig is read by @kubernetes/client-node, which nothing else here loads.
import { access, readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'

/** What a TLS connection is made with. A new object means new contents: connections made with the old one are old. */
export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

export interface Credential {
  /** Headers of each request, `authorization` among them. */
  readonly headers: Readonly<Record<string, string>>
  readonly tls: TlsMaterial
}

export interface Credentials {
  /** The server's address without a trailing slash. */
  readonly server: string
  /** The namespace of the kubeconfig's context or of our own pod. */
  readonly namespace: string | undefined
  /** The credential to use now; read again when it is older than ten seconds. */
  current(): Promise<Credential>
  /** After a 401: read everything again, exec plugins included. */
  refresh(): Promise<void>
}

export interface CredentialSource {
  /** `KUBECONFIG`: one file, or several separated by colons. Wins over the cluster we run in. */
  readonly kubeconfig?: string | undefined
  /** A context of the kubeconfig other than its current one; the cluster we run in is not looked at then. */
  readonly context?: string | undefined
  /** `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`; set by the kubelet in every pod. */
  readonly serviceHost?: string | undefined
  readonly servicePort?: string | undefined
  /** Where the kubelet puts the token and the CA. */
  readonly serviceAccountDirectory?: string
}

/** Where the kubelet mounts the service account. */
const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount'

/** How old a credential may be. The kubelet swaps a token long before it expires; reading two small files costs nothing. */
const rereadMs = 10_000

/**
 * The credentials of this process: the given kubeconfig, else the pod's service account, else ~/.kube/config.
 * @throws Error naming what was looked for, when there are none
 */
export const loadCredentials = async (source: CredentialSource): Promise<Credentials> => {
  const { kubeconfig, context, serviceHost, servicePort } = source
  const directory = source.serviceAccountDirectory ?? serviceAccountDirectory
  if (kubeconfig !== undefined && kubeconfig !== '')
    return kubeconfigCredentials(kubeconfig.split(':').filter(Boolean), context)
  if (context === undefined && serviceHost !== undefined && (await exists(join(directory, 'token')))) {
    const host = isIPv6(serviceHost) ? `[${serviceHost}]` : serviceHost
    return serviceAccountCredentials(`https://${host}:${servicePort ?? '443'}`, directory)
  }
  return kubeconfigCredentials(undefined, context)
}

/** The service account of the pod we run in. @param mostMs how old a credential may be before its files are read again */
export const serviceAccountCredentials = async (
  server: string,
  directory: string,
  mostMs = rereadMs,
): Promise<Credentials> => {
  const read = async (): Promise<Credential> => {
    const [token, ca] = await Promise.all([
      readFile(join(directory, 'token'), 'utf8'),
      readFile(join(directory, 'ca.crt'), 'utf8'),
    ])
    return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } }
  }
  const namespace = await readFile(join(directory, 'namespace'), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  )
  return { server, namespace, ...reread(read, mostMs) }
}

const kubeconfigCredentials = async (
  files: readonly string[] | undefined,
  context: string | undefined,
): Promise<Credentials> => {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const load = () => {
    const config = new KubeConfig()
    const [first, ...rest] = files ?? []
    if (first === undefined) config.loadFromDefault()
    else config.loadFromFile(first)
    for (const file of rest) {
      const more = new KubeConfig()
      more.loadFromFile(file)
      config.mergeConfig(more, true)
    }
    if (context !== undefined) config.setCurrentContext(context)
    return config
  }
  const where = files?.join(':') ?? '~/.kube/config'
  let config = load()
  if (context !== undefined && config.getContextObject(context) === null) {
    const names = config.getContexts().map((c) => c.name)
    throw new Error(`${where} has no context "${context}"; it has: ${names.join(', ') || 'none'}`)
  }
  const cluster = config.getCurrentCluster()
  if (cluster === null || (files === undefined && cluster.server === 'http://localhost:8080')) {
    throw new Error(
      `no cluster to talk to: not in a pod, and ${where} has no current context; set KUBECONFIG to a file that has one`,
    )
  }
  if (cluster.proxyUrl !== undefined) {
    throw new Error(`${where}: cluster ${cluster.name} has a proxy-url, which is not supported; remove it`)
  }
  const read = async (): Promise<Credential> => {
    const options: Parameters<typeof config.applyToHTTPSOptions>[0] = { headers: {} }
    await config.applyToHTTPSOptions(options)
    const basic = typeof options.auth === 'string' ? `Basic ${Buffer.from(options.auth).toString('base64')}` : undefined
    const headers: Record<string, string> = basic === undefined ? {} : { authorization: basic }
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value)
    const pem = (value: unknown): string | undefined =>
      typeof value === 'string' || Buffer.isBuffer(value) ? value.toString() : undefined
    const [ca, cert, key] = [pem(options.ca), pem(options.cert), pem(options.key)]
    return {
      headers,
      tls: {
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(typeof options.servername === 'string' && { servername: options.servername }),
        ...(options.rejectUnauthorized !== undefined && { rejectUnauthorized: options.rejectUnauthorized }),
      },
    }
  }
  const reading = reread(read)
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace
  return {
    server: cluster.server.replace(/\/+$/, ''),
    namespace,
    current: reading.current,
    refresh: () => {
      // A new object forgets the tokens of exec plugins, which the old one would keep until they expire.
      config = load()
      return reading.refresh()
    },
  }
}

/** Reads at most every `mostMs` and once at a time; when reading fails, an older credential goes on being used. */
const reread = (read: () => Promise<Credential>, mostMs = rereadMs) => {
  let last: { credential: Credential; at: number } | undefined
  let reading: Promise<Credential> | undefined
  const readNow = (): Promise<Credential> => {
    reading ??= read()
      .then((fresh) => {
        const unchanged = last !== undefined && sameTls(last.credential.tls, fresh.tls)
        const credential = unchanged && last !== undefined ? { ...fresh, tls: last.credential.tls } : fresh
        last = { credential, at: performance.now() }
        return credential
      })
      .catch((error: unknown) => {
        if (last === undefined) throw error
        // The kubelet swaps files while we read; the old credential stays valid for a while, and a 401 asks again.
        last = { ...last, at: performance.now() }
        return last.credential
      })
      .finally(() => (reading = undefined))
    return reading
  }
  return {
    current: async (): Promise<Credential> =>
      last !== undefined && performance.now() - last.at < mostMs ? last.credential : readNow(),
    refresh: async (): Promise<void> => {
      await readNow()
    },
  }
}

const sameTls = (a: TlsMaterial, b: TlsMaterial): boolean =>
  a.ca === b.ca &&
  a.cert === b.cert &&
  a.key === b.key &&
  a.servername === b.servername &&
  a.rejectUnauthorized === b.rejectUnauthorized

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  )
