// A constant stream of predictions from a pod, as a client in the cluster sends it, and its record afterwards.
import type { Shell } from './shell.ts'

/** The last line that test/modelstore/stream.ts prints. */
export interface StreamSummary {
  readonly sent: number
  readonly ok: number
  readonly failed: number
  readonly byRevision: Readonly<Record<string, number>>
  /** Every change from one answering revision to another, in order. */
  readonly transitions: readonly { readonly from: string; readonly to: string; readonly at: string }[]
  /** The first 50 of them. */
  readonly failures: readonly {
    readonly at: string
    readonly tookMs: number
    readonly revision: string
    readonly error?: string
    /** It went out on a connection that another request had used. */
    readonly onUsedConnection?: true
  }[]
  /** Of all failed requests, the one that was sent last: when its failure was known, and how long that took. */
  readonly lastFailure?: { readonly at: string; readonly tookMs: number }
  /** The longest time between two good answers. */
  readonly maxGapMs: number
}

export interface Stream {
  /** What the client has printed so far: the first answer, and each that came from another revision than the one before. */
  changes(): Promise<string>
  /** Lets the client finish what it has under way, and gives its record. */
  stop(): Promise<StreamSummary>
}

export interface StreamOptions {
  readonly url: string
  readonly request: string
  readonly rate: number
  /** The client stops by itself after this time, in seconds. */
  readonly seconds: number
  readonly keepAlive: boolean
  /** When a request counts as failed, in milliseconds. A slow answer is not a lost one: the server gives up after 30 s. */
  readonly timeoutMs?: number
  /** Where the client runs, and what tells its pod from others. */
  readonly node?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** Starts the client pod and returns when it sends. The address has to answer before: kube-proxy takes a second to learn of a new Service. */
export const startStream = async (
  shell: Shell,
  namespace: string,
  name: string,
  image: string,
  options: StreamOptions,
): Promise<Stream> => {
  await addressAnswers(shell, namespace, options.url)
  await startClient(shell, namespace, name, image, {
    ...options,
    program: 'stream',
    env: {
      STREAM_URL: options.url,
      STREAM_BODY: options.request,
      STREAM_RATE: String(options.rate),
      STREAM_SECONDS: String(options.seconds),
      STREAM_KEEP_ALIVE: String(options.keepAlive),
      STREAM_TIMEOUT_MS: String(options.timeoutMs ?? 60_000),
    },
  })
  return {
    changes: () => shell.kubectl(['logs', '-n', namespace, name]),
    stop: () => stopStream(shell, namespace, name),
  }
}

export interface ClientOptions {
  /** Of test/modelstore/main.ts. */
  readonly program: string
  readonly env: Readonly<Record<string, string>>
  readonly node?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** Starts a client pod and returns when it runs. */
export const startClient = async (
  shell: Shell,
  namespace: string,
  name: string,
  image: string,
  { program, env, node, labels = {} }: ClientOptions,
): Promise<void> => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      ...(node !== undefined && { nodeSelector: { 'kubernetes.io/hostname': node } }),
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 30,
      containers: [
        {
          name: 'stream',
          image,
          args: [program],
          env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
        },
      ],
    },
  }
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify(pod))
  await shell.kubectl(['wait', '-n', namespace, `pod/${name}`, '--for=condition=Ready', '--timeout=60s'])
}

/** Ends a client pod: it finishes what it has under way, and its record is read. */
export const stopStream = async (shell: Shell, namespace: string, name: string): Promise<StreamSummary> =>
  (await stopClient(shell, namespace, name)) as StreamSummary

/** Ends a client pod. @returns what it printed last, as JSON */
export const stopClient = async (shell: Shell, namespace: string, name: string): Promise<unknown> => {
  // It ends by itself when asked to, and its log is read while the pod is there: a pod that is deleted takes its
  // container away under a log that is being read. Its end may cut off the very exec that asked for it.
  const ask = ['exec', '-n', namespace, name, '--', 'node', '-e', 'process.kill(1, "SIGTERM")']
  const asked = await shell.kubectl(ask).then(() => 'it was asked to', String)
  const ended = '--for=jsonpath={.status.containerStatuses[0].state.terminated.reason}'
  await shell.kubectl(['wait', '-n', namespace, `pod/${name}`, ended, '--timeout=120s']).catch((error: unknown) => {
    throw new Error(`the stream ${name} does not end (${asked})`, { cause: error })
  })
  const log = await shell.kubectl(['logs', '-n', namespace, name])
  await shell.kubectl(['delete', 'pod', name, '-n', namespace, '--wait=false'])
  return JSON.parse(log.trim().split('\n').at(-1) ?? '')
}

/** Asks from inside the cluster until the address answers at all. @throws when it does not within half a minute */
const addressAnswers = async (shell: Shell, namespace: string, url: string): Promise<void> => {
  const program = `
    const until = Date.now() + 30000
    const ask = () => fetch(process.argv[1]).then(() => process.exit(0), (error) => {
      if (Date.now() < until) return setTimeout(ask, 200)
      console.error(error.cause ?? error)
      process.exit(1)
    })
    ask()`
  await shell.kubectl(['exec', '-n', namespace, 'deployment/model-store', '--', 'node', '-e', program, url])
}
