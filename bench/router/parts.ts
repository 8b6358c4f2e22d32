// npm run bench:router:parts -- [--rounds 5] [--requests 2000] [--concurrency 2] [--only WORD] [--namespaces] [--real]
// Where the time of the hop goes: one Envoy on loopback with many listeners. The first is as small as a proxy can be, the
// last is what we render, and between them is ours without one part each. Every way is measured in every round, one
// request at a time, so what disturbs the machine disturbs them all. A pod is a plain HTTP server in a process of its own.
// With --namespaces (root) Envoy and the pod have network namespaces of their own, as on a node. With --real the pod is our
// runtime with a model, and who asks is undici's client: more code runs between two turns of Envoy's.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Client } from 'undici'
import { endpoints, setting } from '../../router/fixtures.ts'
import type { Endpoints } from '../../router/model.ts'
import { renderModel } from '../../router/xds/render.ts'
import { addModel } from '../../test/fixtures/onnx.ts'
import { runtimeProgram, stageRuntime } from '../../test/fixtures/program.ts'
import { envoyPath } from '../../test/kit/envoy.ts'
import { ascending, columns, machineNow, median, quantile, round } from '../figures.ts'
import { cpuUs } from '../runtime/processes.ts'
import { loopback, makePlaces, type Place } from './namespaces.ts'
import { withoutEach, type Static } from './variants.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '2000' },
    concurrency: { type: 'string', default: '2' },
    only: { type: 'string' },
    namespaces: { type: 'boolean', default: false },
    real: { type: 'boolean', default: false },
  },
})
const [rounds, requests] = [Number(values.rounds), Number(values.requests)]

const pod = `
  const answer = JSON.stringify({ outputs: [{ name: 'sum', shape: [1, 4], datatype: 'FP32', data: [2, 4, 6, 8] }] })
  const server = require('node:http').createServer({ keepAliveTimeout: 75000 }, (request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer))
  })
  server.listen(0, '0.0.0.0', () => console.log(server.address().port))`

/** A child that ends with this process. */
const start = (
  { prefix }: Place,
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
) =>
  spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...prefix, program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  })

const realPort = 18_080
const startReal = async (place: Place, folder: string): Promise<ReturnType<typeof start>> => {
  await stageRuntime()
  await writeFile(join(folder, 'model.onnx'), addModel())
  return start(place, process.execPath, [runtimeProgram(), 'serve'], {
    SLIPWAY_MODEL_FILE: join(folder, 'model.onnx'),
    SLIPWAY_MODEL_NAME: setting.model,
    SLIPWAY_HTTP_PORT: String(realPort),
    SLIPWAY_GRPC_PORT: String(realPort + 1),
    SLIPWAY_METRICS_PORT: String(realPort + 2),
    SLIPWAY_TERMINATION_LOG: join(folder, 'termination'),
    SLIPWAY_DRAIN_DELAY_MS: '0',
  })
}

const row = (name: string) => ({ name, shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] })
const body = JSON.stringify({ inputs: [row('a'), row('b')] })
const request =
  `POST /v2/models/${setting.model}/infer HTTP/1.1\r\nhost: fraud\r\ncontent-type: application/json\r\n` +
  `content-length: ${body.length}\r\n\r\n${body}`

/** One request on a kept connection. */
type Ask = () => Promise<void>

/** The least that a client can be. */
const asksBySocket =
  (socket: Socket): Ask =>
  async () => {
    socket.write(request)
    for (let answer = ''; !answer.endsWith('}');) {
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      answer += chunk.toString('latin1')
      if (!answer.startsWith('HTTP/1.1 200')) throw new Error(answer)
    }
  }

const asksByUndici = (address: string, port: number): Ask => {
  const client = new Client(`http://${address}:${port}`)
  const headers = { 'content-type': 'application/json' }
  return async () => {
    const answer = await client.request({ path: `/v2/models/${setting.model}/infer`, method: 'POST', headers, body })
    const text = await answer.body.text()
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${text}`)
  }
}

const folder = await mkdtemp(join(tmpdir(), 'slipway-parts-'))
const made = values.namespaces ? await makePlaces(['pod', 'envoy']) : undefined
const [podAt = loopback, envoyAt = loopback] = made?.places ?? []
const upstream = values.real ? await startReal(podAt, folder) : start(podAt, process.execPath, ['-e', pod])
let envoy: ReturnType<typeof start> | undefined
try {
  const [line] = (await once(upstream.stdout, 'data')) as [Buffer]
  // What the runtime logs is nobody's concern; it answers when it is ready.
  upstream.stdout.resume()
  const port = values.real ? realPort : Number(line.toString())
  const at = [{ address: podAt.address, port, healthPort: port }]
  const pods: Endpoints = new Map([...endpoints.keys()].map((name) => [name, { ready: 1, http: at, grpc: at }]))
  const variants = withoutEach(renderModel(setting, pods, { listenAddress: '0.0.0.0' }), podAt.address, port).filter(
    ({ name }) => values.only === undefined || ['minimal', 'ours'].includes(name) || name.includes(values.only),
  )
  const config: Static = {
    static_resources: {
      listeners: variants.map(({ listener }) => listener),
      clusters: variants.flatMap(({ clusters }) => clusters),
    },
  }
  await writeFile(join(folder, 'envoy.json'), JSON.stringify(config))
  const flags = ['--concurrency', values.concurrency, '--disable-hot-restart', '--log-level', 'error']
  envoy = start(envoyAt, await envoyPath((text) => console.error(text)), ['-c', join(folder, 'envoy.json'), ...flags])
  const pid = envoy.pid ?? 0
  const open = async (to: number, address: string): Promise<Ask> => {
    for (;;) {
      const socket = connect(to, address).setNoDelay()
      const ask = await once(socket, 'connect').then(
        () => (values.real ? asksByUndici(address, to) : asksBySocket(socket)),
        () => undefined,
      )
      // A pod that is being started refuses connections, and then answers 503 for a while.
      const answered = await ask?.().then(
        () => true,
        () => false,
      )
      if (ask !== undefined && answered === true) return ask
      socket.destroy()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const ways = [{ name: 'direct', port }, ...variants]
  const asks = await Promise.all(
    ways.map(({ name, port: to }) => open(to, (name === 'direct' ? podAt : envoyAt).address)),
  )
  const medians = ways.map((): number[] => [])
  const cpu = ways.map(() => 0)
  for (let turn = 0; turn <= rounds; turn += 1) {
    for (const [i, ask] of asks.entries()) {
      const took: number[] = []
      const before = cpuUs(pid)
      for (let n = 0; n < requests; n += 1) {
        const began = performance.now()
        await ask()
        took.push(performance.now() - began)
      }
      // The first turn warms up.
      if (turn === 0) continue
      medians[i]?.push(quantile(ascending(took), 0.5) ?? NaN)
      cpu[i] = (cpu[i] ?? 0) + (cpuUs(pid) - before) / requests / rounds
    }
    process.stderr.write(`${turn} of ${rounds} rounds\n`)
  }
  const of = (name: string): readonly number[] => medians[ways.findIndex((way) => way.name === name)] ?? []
  const less = (a: readonly number[], b: readonly number[]): number => median(a.map((ms, i) => ms - (b[i] ?? NaN)))
  console.log(JSON.stringify(machineNow()))
  console.log(
    columns([
      ['way', 'p50 µs', 'least', 'most', 'more than direct', 'more than ours', "Envoy's CPU"],
      ...ways.map(({ name }, i) => {
        const ms = medians[i] ?? []
        const shown = [median(ms), ...ascending(ms).slice(0, 1), ...ascending(ms).slice(-1)]
        return [
          name,
          ...[...shown, less(ms, of('direct')), less(ms, of('ours'))].map((v) => String(round(v * 1000, 0))),
          String(round(cpu[i] ?? NaN, 0)),
        ]
      }),
    ]),
  )
} finally {
  envoy?.kill('SIGKILL')
  upstream.kill('SIGKILL')
  await made?.remove()
  await rm(folder, { recursive: true, force: true })
}
process.exit(0)
