// Plain requests to the test's API server, whose raw answers (status codes, causes, tables) are what these tests look
// at. Not a client: nothing is retried and nothing is hidden.
import { KubeConfig } from '@kubernetes/client-node'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { crds } from '../../../operator/api/crds.ts'
import { apiVersion, group } from '../../../operator/api/objectmeta.ts'

export interface Answer {
  readonly status: number
  readonly body: Body
}

/** The parts of an answer that tests read; the server owns the rest. */
export interface Body {
  readonly message?: string
  readonly details?: { readonly causes?: readonly Cause[] }
  readonly metadata?: { readonly name?: string; readonly generation?: number; readonly resourceVersion?: string }
  readonly spec?: Record<string, unknown>
  readonly status?: Record<string, unknown>
  readonly columnDefinitions?: readonly { readonly name: string; readonly type: string; readonly priority: number }[]
  readonly rows?: readonly { readonly cells: readonly unknown[] }[]
  readonly [field: string]: unknown
}

export interface Cause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

export interface Sent {
  readonly body?: object
  readonly contentType?: string
  readonly accept?: string
}

export interface Server {
  readonly send: (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, sent?: Sent) => Promise<Answer>
  readonly close: () => Promise<void>
}

/** The API server that SLIPWAY_TEST_KUBECONFIG names. */
export const connect = async (): Promise<Server> => {
  const config = new KubeConfig()
  config.loadFromString(await readFile(process.env['SLIPWAY_TEST_KUBECONFIG'] ?? '', 'utf8'))
  const options: Parameters<KubeConfig['applyToHTTPSOptions']>[0] = { headers: {} }
  await config.applyToHTTPSOptions(options)
  const { ca, cert, key, rejectUnauthorized, headers } = options
  const credentials = Object.fromEntries(
    Object.entries({ ca, cert, key, rejectUnauthorized }).filter(([, value]) => value !== undefined),
  )
  const dispatcher = new Agent({ connect: credentials, headersTimeout: 30_000, bodyTimeout: 30_000 })
  const origin = config.getCurrentCluster()?.server ?? ''
  const authorization = new Headers(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]))
  return {
    send: async (method, path, { body, contentType = 'application/json', accept = 'application/json' } = {}) => {
      const answer = await request(`${origin}${path}`, {
        dispatcher,
        method,
        headers: { ...Object.fromEntries(authorization), accept, 'content-type': contentType },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.statusCode, body: parsed(await answer.body.text()) }
    },
    close: () => dispatcher.close(),
  }
}

/** A path that nobody serves yet is answered in plain text. */
const parsed = (text: string): Body => (text.startsWith('{') ? (JSON.parse(text) as Body) : { message: text })

/** Installs our CRDs (again) and waits until they are served. */
export const installCrds = async (server: Server): Promise<void> => {
  for (const crd of crds) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd.metadata.name}`
    const sent = { body: crd, contentType: 'application/apply-patch+yaml' }
    const { status, body } = await server.send(
      'PATCH',
      `${path}?fieldManager=slipway-test&force=true&fieldValidation=Strict`,
      sent,
    )
    if (status >= 300) throw new Error(`${crd.metadata.name}: ${body.message}`)
    await served(server, `/apis/${apiVersion}/${crd.spec.names.plural}?limit=1`)
  }
}

const served = async (server: Server, path: string): Promise<void> => {
  const deadline = performance.now() + 30_000
  for (;;) {
    const { status } = await server.send('GET', path)
    if (status === 200) return
    if (performance.now() > deadline) throw new Error(`${path} answers ${status} 30 s after its CRD was applied`)
    await sleep(100)
  }
}

/** A namespace of one's own; without a controller manager nothing else is in it. */
export const createNamespace = async (server: Server): Promise<string> => {
  const sent = { body: { apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: 'api-' } } }
  const { body } = await server.send('POST', '/api/v1/namespaces', sent)
  return body.metadata?.name ?? ''
}

export const pathOf = (namespace: string, plural: string, name = ''): string =>
  `/apis/${group}/v1alpha1/namespaces/${namespace}/${plural}${name === '' ? '' : `/${name}`}`

/** What a test sends as a ModelDeployment: any spec, right or wrong. */
export const modelDeployment = (name: string, spec: object) => ({
  apiVersion,
  kind: 'ModelDeployment',
  metadata: { name },
  spec,
})
