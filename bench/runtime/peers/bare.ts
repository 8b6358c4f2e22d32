// No peer but the ceiling: node:http that reads a body and sends one answer, made at the start, whatever was asked. No
// server on node:http can be faster in one thread, so what it reaches beside a peer bounds the ratio that ours could.
import { createServer } from 'node:http'
import { InferenceSession, Tensor } from 'onnxruntime-node'

interface Asked {
  readonly inputs: readonly { readonly shape: number[]; readonly data: readonly number[] }[]
}

const [, , model = '', port = ''] = process.argv
const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 })

async function answerTo(body: Buffer): Promise<Buffer> {
  const [input] = (JSON.parse(body.toString()) as Asked).inputs
  const { y } = await session.run({
    x: new Tensor('float32', Float32Array.from(input?.data ?? []), input?.shape ?? []),
  })
  if (y === undefined) throw new Error('the model gave no y')
  const output = { name: 'y', datatype: 'FP32', shape: y.dims, data: Array.from(y.data as Float32Array) }
  return Buffer.from(JSON.stringify({ model_name: 'm', outputs: [output] }))
}

/** The first question is the only one that is computed: the load client asks the same again and again. */
let answer: Buffer | undefined
createServer({ noDelay: true }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const send = (bytes: Buffer): void => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes)
    }
    if (request.method === 'GET') return send(Buffer.from('{"live":true}'))
    if (answer !== undefined) return send(answer)
    return void answerTo(Buffer.concat(chunks)).then((first) => send((answer = first)))
  })
}).listen(Number(port), '127.0.0.1')
