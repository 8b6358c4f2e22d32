// Plain express and onnxruntime-node, as their documentation shows them: what a team writes for itself. It takes JSON, and
// the binary form of the protocol.
import express, { type Request, type Response } from 'express'
import { InferenceSession, Tensor } from 'onnxruntime-node'

interface Asked {
  readonly inputs: readonly {
    readonly name: string
    readonly datatype: string
    readonly shape: number[]
    readonly data?: number[]
    readonly parameters?: { readonly binary_data_size: number }
  }[]
}

const [, , model = '', port = '', threads = 'default'] = process.argv
const session = await InferenceSession.create(
  model,
  threads === 'default' ? {} : { intraOpNumThreads: Number(threads), interOpNumThreads: 1 },
)
const app = express()
app.use(express.json({ limit: '64mb' }), express.raw({ limit: '64mb' }))
app.get('/v2/health/live', (_, response) => void response.json({ live: true }))
app.post('/v2/models/m/infer', async (request: Request, response: Response) => {
  const { body } = request as { body: unknown }
  if (Buffer.isBuffer(body)) return inferBinary(body, Number(request.get('inference-header-content-length')), response)
  const feeds: Record<string, Tensor> = {}
  for (const { name, datatype, shape, data = [] } of (body as Asked).inputs) {
    feeds[name] =
      datatype === 'INT64'
        ? new Tensor('int64', BigInt64Array.from(data, BigInt), shape)
        : new Tensor('float32', Float32Array.from(data), shape)
  }
  const results = await session.run(feeds)
  const outputs = Object.entries(results).map(([name, { dims, data }]) => ({
    name,
    datatype: 'FP32',
    shape: dims,
    data: Array.from(data as Float32Array),
  }))
  return response.json({ model_name: 'm', outputs })
})
app.listen(Number(port), '127.0.0.1')

async function inferBinary(body: Buffer, headLength: number, response: Response): Promise<Response> {
  const head = JSON.parse(body.toString('utf8', 0, headLength)) as Asked
  const feeds: Record<string, Tensor> = {}
  let at = headLength
  for (const { name, datatype, shape, parameters } of head.inputs) {
    const end = at + (parameters?.binary_data_size ?? 0)
    const { buffer } = Uint8Array.from(body.subarray(at, end))
    feeds[name] =
      datatype === 'INT64'
        ? new Tensor('int64', new BigInt64Array(buffer), shape)
        : new Tensor('float32', new Float32Array(buffer), shape)
    at = end
  }
  const results = Object.entries(await session.run(feeds))
  const tensors = results.map(([, { data }]) => {
    const { buffer, byteOffset, byteLength } = data as Float32Array
    return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
  })
  const outputs = results.map(([name, { dims }], index) => ({
    name,
    datatype: 'FP32',
    shape: dims,
    parameters: { binary_data_size: tensors[index]?.length },
  }))
  const answer = Buffer.from(JSON.stringify({ model_name: 'm', outputs }))
  return response
    .set('inference-header-content-length', String(answer.length))
    .type('application/octet-stream')
    .send(Buffer.concat([answer, ...tensors]))
}
