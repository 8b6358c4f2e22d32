// A prediction from outside the cluster, as a user makes it: kubectl port-forward and one HTTP request.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Shell } from './shell.ts'

/** The part of an Open Inference Protocol answer that the demo and the tests look at. */
export interface Prediction {
  readonly status: number
  readonly revision: string
  readonly body: {
    readonly model_name?: string
    readonly model_version?: string
    readonly outputs?: readonly { readonly name: string; readonly shape: number[]; readonly data: number[] }[]
    readonly error?: string
  }
}

/** Calls `use` with a URL on loopback that leads to the Service, and closes the way afterwards. */
export const withForward = async <T>(
  shell: Shell,
  namespace: string,
  service: string,
  use: (url: string) => Promise<T>,
): Promise<T> => {
  const child = shell.start(['port-forward', '-n', namespace, `service/${service}`, ':80'])
  try {
    if (child.stdout === null || child.stderr === null) throw new Error('kubectl has no output')
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    const lines = createInterface({ input: child.stdout })
    const port = await Promise.race([
      once(lines, 'line').then(([line]) => /127\.0\.0\.1:(\d+)/.exec(String(line))?.[1]),
      once(child, 'exit').then(() => undefined),
    ])
    if (port === undefined) throw new Error(`kubectl port-forward to ${service} failed: ${complaint.trim()}`)
    return await use(`http://127.0.0.1:${port}`)
  } finally {
    child.kill('SIGTERM')
  }
}

/** One POST of an inference request to the Service. */
export const predict = (shell: Shell, namespace: string, service: string, request: string): Promise<Prediction> =>
  withForward(shell, namespace, service, async (url) => {
    const answer = await fetch(`${url}/v2/models/${service}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: request,
    })
    return {
      status: answer.status,
      revision: answer.headers.get('x-slipway-revision') ?? '',
      body: (await answer.json()) as Prediction['body'],
    }
  })
