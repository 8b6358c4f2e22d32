// The program of the model store's image: `serve` (the default) offers model files, `stream` asks for predictions, and
// `grpc` does so by gRPC.
// For the demo and the tests only. Configuration is read here and nowhere else.
import { startGrpcStream } from './grpcstream.ts'
import { createStore } from './server.ts'
import { startStream } from './stream.ts'

const { env } = process

if (process.argv[2] === 'stream') {
  const stream = startStream({
    url: env['STREAM_URL'] ?? 'http://127.0.0.1:8080/v2/models/model/infer',
    body: env['STREAM_BODY'] ?? '',
    rate: Number(env['STREAM_RATE'] ?? 50),
    seconds: Number(env['STREAM_SECONDS'] ?? 60),
    concurrency: Number(env['STREAM_CONCURRENCY'] ?? 64),
    keepAlive: env['STREAM_KEEP_ALIVE'] !== 'false',
    timeoutMs: Number(env['STREAM_TIMEOUT_MS'] ?? 10_000),
    onChange: (line) => process.stdout.write(`${JSON.stringify(line)}\n`),
  })
  process.on('SIGTERM', () => stream.stop())
  process.on('SIGINT', () => stream.stop())
  const summary = await stream.done
  process.stdout.write(`${JSON.stringify(summary)}\n`, () => process.exit(summary.failed === 0 ? 0 : 1))
} else if (process.argv[2] === 'grpc') {
  const stream = startGrpcStream({
    address: env['STREAM_ADDRESS'] ?? '127.0.0.1:9000',
    request: Buffer.from(env['STREAM_BODY'] ?? '', 'base64'),
    rate: Number(env['STREAM_RATE'] ?? 20),
    seconds: Number(env['STREAM_SECONDS'] ?? 60),
    messages: Number(env['STREAM_MESSAGES'] ?? 20),
    pauseMs: Number(env['STREAM_PAUSE_MS'] ?? 100),
    timeoutMs: Number(env['STREAM_TIMEOUT_MS'] ?? 10_000),
    onChange: (version, of) => process.stdout.write(`${JSON.stringify({ [of]: version })}\n`),
  })
  process.on('SIGTERM', () => stream.stop())
  process.on('SIGINT', () => stream.stop())
  const summary = await stream.done
  const isClean = summary.unary.failed + summary.streams.failed + summary.messages.failed === 0
  process.stdout.write(`${JSON.stringify(summary)}\n`, () => process.exit(isClean ? 0 : 1))
} else {
  const server = createStore(env['STORE_DIR'] ?? '/models').listen(Number(env['STORE_PORT'] ?? 8080))
  const end = (): void => {
    server.close(() => process.exit(0))
    server.closeAllConnections()
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
}
