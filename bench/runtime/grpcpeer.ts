// The server that the gRPC benchmark compares ours with: grpc-js and proto-loader as their documentation shows them, and
// onnxruntime-node's own session in the same thread. Prints its port, and serves until it is killed.
import { readFileSync } from 'node:fs'
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { InferenceSession, Tensor } from 'onnxruntime-node'

interface Request {
  readonly id: string
  readonly inputs: readonly { readonly shape: readonly number[] }[]
  readonly raw_input_contents: readonly Buffer[]
}

const [, , model = '', proto = ''] = process.argv
const session = await InferenceSession.create(readFileSync(model), { intraOpNumThreads: 1, interOpNumThreads: 1 })
const definition = loadSync(proto, { keepCase: true, longs: Number })['inference.GRPCInferenceService']
const server = new grpc.Server({ 'grpc.max_receive_message_length': 64 * 1024 * 1024 })
server.addService(definition as unknown as grpc.ServiceDefinition, {
  ModelInfer({ request }: grpc.ServerUnaryCall<Request, object>, callback: grpc.sendUnaryData<object>) {
    void reply(request, callback)
  },
})
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error
  console.log(port)
})

async function reply(request: Request, callback: grpc.sendUnaryData<object>): Promise<void> {
  try {
    callback(null, await answer(request))
  } catch (error) {
    callback(error as Error)
  }
}

async function answer({ id, inputs, raw_input_contents: raw }: Request): Promise<object> {
  const [bytes = Buffer.alloc(0)] = raw
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  const floats = new Float32Array(buffer as ArrayBuffer, byteOffset, bytes.byteLength / 4)
  const { y } = await session.run({ x: new Tensor('float32', floats, inputs[0]?.shape ?? []) })
  if (y === undefined) throw new Error('the model gave no y')
  const data = y.data as Float32Array
  return {
    model_name: 'm',
    model_version: 'v1',
    id,
    outputs: [{ name: 'y', datatype: 'FP32', shape: y.dims }],
    raw_output_contents: [Buffer.from(data.buffer, data.byteOffset, data.byteLength)],
  }
}
