import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import grpc from '@grpc/grpc-js'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { createAuthority, createCertificates, keyPair } from '../test/cluster/certificates.ts'
import { identityModel } from '../test/fixtures/onnx.ts'
import { runCommand, startServer, type Server } from '../test/fixtures/runtime.ts'
import { ModelInferRequest, ModelInferResponse } from './grpc/api/inference.ts'
import { decode, encode } from './grpc/protobuf/message.ts'

jest.setTimeout(120_000)

const folder = mkdtempSync(join(tmpdir(), 'slipway-tls-'))
const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
const environment = { SLIPWAY_TLS_CERT_FILE: files.certificate, SLIPWAY_TLS_KEY_FILE: files.key }
let server: Server
let ca = ''
beforeAll(async () => {
  await createAuthority(folder)
  await createCertificates(
    folder,
    ['one', 'two'].map((name) => ({ name, commonName: name, names: ['localhost', '127.0.0.1'] })),
  )
  ca = readFileSync(keyPair(folder, 'ca').certificate, 'utf8')
  present('one')
  server = await startServer(identityModel('FLOAT'), environment)
  while (!server.log.some((line) => line['event.action'] === 'ready')) await sleep(20) // oxlint-disable-line no-await-in-loop
})
afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

/** Puts a certificate and its key where the server reads them. */
function present(name: string): void {
  const { certificate, key } = keyPair(folder, name)
  cpSync(certificate, files.certificate)
  cpSync(key, files.key)
}

const port = (): number => Number(new URL(server.url).port)

/** Whose certificate a new connection gets. */
const presented = (at: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(
      { port: at, host: '127.0.0.1', servername: 'localhost', ca, ALPNProtocols: ['h2', 'http/1.1'] },
      () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      },
    )
    socket.on('error', reject)
  })

const grpcPort = (): number => Number(server.grpcAddress.split(':')[1])

test('HTTP and gRPC are spoken over TLS with the certificate of the files', async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    get({ host: 'localhost', family: 4, port: port(), path: '/v2/health/ready', ca, agent: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    }).on('error', reject)
  })
  expect(status).toBe(200)
  const client = new grpc.Client(server.grpcAddress, grpc.credentials.createSsl(Buffer.from(ca)), {
    'grpc.ssl_target_name_override': 'localhost',
  })
  const same = (bytes: Buffer): Buffer => bytes
  const ready = await new Promise<Buffer | undefined>((resolve, reject) => {
    const method = '/inference.GRPCInferenceService/ServerReady'
    client.makeUnaryRequest(method, same, same, Buffer.alloc(0), (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    )
  })
  client.close()
  expect([...(ready ?? [])]).toEqual([8, 1])
  await expect(fetch(server.url + '/v2/health/ready')).rejects.toThrow('fetch failed')
})

test('large messages over gRPC come and go whole, several on one connection', async () => {
  const client = new grpc.Client(server.grpcAddress, grpc.credentials.createSsl(Buffer.from(ca)), {
    'grpc.ssl_target_name_override': 'localhost',
  })
  const same = (bytes: Buffer): Buffer => bytes
  const one = async (number: number): Promise<boolean> => {
    const tensor = new Uint8Array(Float32Array.from({ length: 150_000 }, (_, at) => number + at / 64).buffer)
    const request = encode(ModelInferRequest, {
      model_name: 'm',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [150_000n] }],
      raw_input_contents: [tensor],
    })
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const method = '/inference.GRPCInferenceService/ModelInfer'
      client.makeUnaryRequest(method, same, same, request, (error, got) =>
        got === undefined ? reject(error ?? new Error('no answer')) : resolve(got),
      )
    })
    const { raw_output_contents: outputs } = decode(ModelInferResponse, Uint8Array.from(answer))
    return Buffer.from(tensor).equals(outputs[0] ?? Buffer.alloc(0))
  }
  const answers: boolean[] = []
  for (let turn = 0; turn < 3; turn += 1) {
    // oxlint-disable-next-line no-await-in-loop -- one after another
    answers.push(...(await Promise.all([0, 1, 2, 3].map((number) => one(number + 4 * turn)))))
  }
  client.close()
  expect(answers).toEqual(Array.from({ length: 12 }, () => true))
})

test('large bodies come and go whole', async () => {
  const floats = Float32Array.from({ length: 500_000 }, (_, at) => at / 64)
  const tensor = Buffer.from(floats.buffer)
  const x = { name: 'x', datatype: 'FP32', shape: [floats.length], parameters: { binary_data_size: tensor.length } }
  const head = Buffer.from(JSON.stringify({ inputs: [x], parameters: { binary_data_output: true } }))
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const options = { host: 'localhost', family: 4, port: port(), path: '/v2/models/m/infer', ca, agent: false }
    const headers = { 'inference-header-content-length': head.length, 'content-length': head.length + tensor.length }
    const call = request({ ...options, method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(Buffer.concat(chunks)))
    })
    call.on('error', reject)
    call.write(head)
    for (let at = 0; at < tensor.length; at += 70_000) call.write(tensor.subarray(at, at + 70_000))
    call.end()
  })
  expect(Buffer.compare(answer.subarray(answer.length - tensor.length), tensor)).toBe(0)
})

test('a new certificate is used for new connections; one that fits no key changes nothing', async () => {
  expect([await presented(port()), await presented(grpcPort())]).toEqual(['one', 'one'])
  const lines = (): number => server.log.filter((line) => line['event.action'] === 'certificate').length
  const after = async (change: () => void): Promise<void> => {
    const before = lines()
    change()
    while (lines() === before) await sleep(50) // oxlint-disable-line no-await-in-loop -- until it was read
  }
  await after(() => writeFileSync(files.key, readFileSync(keyPair(folder, 'two').key)))
  expect([await presented(port()), await presented(grpcPort())]).toEqual(['one', 'one'])
  await after(() => present('two'))
  expect([await presented(port()), await presented(grpcPort())]).toEqual(['two', 'two'])
})

test.each(['certificate', 'key'] as const)('a %s file that is empty changes nothing', async (which) => {
  present('two')
  // It may still have to take this pair.
  // oxlint-disable-next-line no-await-in-loop -- it waits for a state
  while ((await presented(port())) !== 'two') await sleep(20)
  const complaints = (): number => server.log.filter(({ message }) => message.includes('stays as it is')).length
  const before = complaints()
  writeFileSync(files[which], '')
  while (complaints() === before) await sleep(20) // oxlint-disable-line no-await-in-loop
  expect(await presented(port())).toBe('two')
  expect(await presented(grpcPort())).toBe('two')
  present('two')
})

test('a server whose certificate cannot be read says so and ends', async () => {
  const command = runCommand('serve', { ...environment, SLIPWAY_MODEL_NAME: 'm', SLIPWAY_TLS_KEY_FILE: '/none' })
  expect((await command.finished).code).toBe(1)
  expect(command.log.at(-1)?.message).toContain('/none cannot be used')
})

test('ends by its drain', async () => {
  server.signal('SIGTERM')
  expect((await server.finished).code).toBe(0)
})
