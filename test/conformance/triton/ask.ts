/**
 * Asks one server one question, and says what came back in words that can be compared.
 */
import grpc from '@grpc/grpc-js'
import type { Encoded } from '../../../runtime/protocols/codec.ts'
import type { ReadTensor } from '../../fixtures/wireforms.ts'
import type { Case, GrpcRequest, RestRequest } from './cases.ts'

export interface Server {
  readonly url: string
  readonly grpcAddress: string
}

export interface Outcome {
  /** The HTTP status, or the name of the gRPC status. */
  readonly status: string
  /** What may not differ between servers: the class of the status and the shape of an error or an answer. */
  readonly like: string
  readonly words: string
  readonly tensors: readonly ReadTensor[] | undefined
}

export function ask(server: Server, { ask: asked, reads }: Case): Promise<Outcome> {
  return 'rpc' in asked ? askGrpc(server, asked, reads) : askRest(server, asked, reads)
}

async function askRest(
  { url }: Server,
  { method, path, headers, body }: RestRequest,
  reads: Case['reads'],
): Promise<Outcome> {
  let response: Response
  let bytes: Uint8Array<ArrayBuffer>
  try {
    response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body }) })
    bytes = new Uint8Array(await response.arrayBuffer())
  } catch (error) {
    return { status: 'none', like: 'no answer', words: String((error as Error).cause ?? error), tensors: undefined }
  }
  const { status } = response
  const kind = status < 300 ? 'served' : status < 500 ? 'refused' : 'failed'
  const text = Buffer.from(bytes).toString()
  const length = Number(response.headers.get('inference-header-content-length') ?? bytes.length)
  const shape = status < 300 ? '' : `, ${errorShape(text)}`
  const encoded: Encoded = { body: bytes, headers: Object.fromEntries(response.headers) }
  const tensors = status === 200 && reads !== undefined ? sorted(reads.form.read(encoded, [])) : undefined
  return { status: String(status), like: `${kind}${shape}`, words: text.slice(0, Math.min(length, 300)), tensors }
}

function errorShape(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    return typeof error === 'string' ? '{"error": text}' : 'JSON without error'
  } catch {
    return text === '' ? 'no body' : 'no JSON'
  }
}

const clients = new Map<string, grpc.Client>()

export function closeClients(): void {
  for (const client of clients.values()) client.close()
}

function askGrpc({ grpcAddress }: Server, { rpc, message }: GrpcRequest, reads: Case['reads']): Promise<Outcome> {
  const client = clients.get(grpcAddress) ?? new grpc.Client(grpcAddress, grpc.credentials.createInsecure())
  clients.set(grpcAddress, client)
  const same = (bytes: Buffer): Buffer => bytes
  return new Promise((resolve) => {
    const done = (error: grpc.ServiceError | null, answer?: Buffer): void => {
      const status = grpc.status[error?.code ?? grpc.status.OK] ?? 'none'
      const body = Uint8Array.from(answer ?? [])
      const tensors =
        error === null && reads !== undefined ? sorted(reads.form.read({ body, headers: {} }, [])) : undefined
      resolve({ status, like: status, words: error?.details ?? '', tensors })
    }
    client.makeUnaryRequest(`/inference.GRPCInferenceService/${rpc}`, same, same, Buffer.from(message), done)
  })
}

/** Servers may answer outputs in any order of their own. */
function sorted(tensors: readonly ReadTensor[]): ReadTensor[] {
  return tensors.toSorted((left, right) => left.name.localeCompare(right.name))
}
