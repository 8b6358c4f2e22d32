/**
 * The real Triton from the wheel of pytriton, on loopback, with models that its python backend runs.
 * It must leave nothing behind: no process, no shared memory, no files.
 */
import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pythonWith } from '../../kit/python.ts'

export interface Triton {
  readonly url: string
  readonly grpcAddress: string
  /** Whether its process is still there. */
  lives(): boolean
  stop(): Promise<void>
}

/** A model as Triton's configuration names its sides: `TYPE_FP32` and dimensions, -1 for a free one. */
export interface TritonModel {
  readonly name: string
  readonly file: Uint8Array
  readonly inputs: readonly Side[]
  readonly outputs: readonly Side[]
}

export interface Side {
  readonly name: string
  readonly type: string
  readonly dims: readonly number[]
}

/** Triton 2.51.0, as the wheel has it. */
const packages = ['nvidia-pytriton==0.7.0', 'onnxruntime==1.32.0']

const shared = '/dev/shm'
const regionPrefix = 'slipway_conformance_'

/** @throws Error with the end of its log when it does not become ready */
export async function startTriton(models: readonly TritonModel[]): Promise<Triton> {
  const python = await pythonWith(packages)
  const folder = join(dirname(python), 'packages')
  const triton = join(folder, 'pytriton', 'tritonserver')
  const work = mkdtempSync(join(tmpdir(), 'slipway-triton-'))
  const repository = join(work, 'models')
  const backend = join(work, 'backends', 'python')
  for (const model of models) writeModel(repository, model, folder)
  mkdirSync(join(work, 'backends'))
  cpSync(join(triton, 'backends', 'python'), backend, { recursive: true })
  const minor = execFileSync(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).toString().trim()
  const stub = 'triton_python_backend_stub'
  rmSync(join(backend, stub), { force: true })
  symlinkSync(join(triton, 'python_backend_stubs', minor, stub), join(backend, stub))

  const [http, grpc, metrics] = await freePorts()
  const region = `${regionPrefix}${process.pid}_`
  const log = join(work, 'log')
  const output = openSync(log, 'w')
  const child = spawn(
    join(triton, 'bin', 'tritonserver'),
    [
      `--model-repository=${repository}`,
      `--backend-directory=${join(work, 'backends')}`,
      ...['http', 'grpc', 'metrics'].map((what) => `--${what}-address=127.0.0.1`),
      `--http-port=${http}`,
      `--grpc-port=${grpc}`,
      `--metrics-port=${metrics}`,
      `--backend-config=python,shm-region-prefix-name=${region}`,
      '--backend-config=python,shm-default-byte-size=4194304',
    ],
    {
      env: { PATH: process.env['PATH'], LD_LIBRARY_PATH: join(folder, 'nvidia_pytriton.libs'), PYTHONPATH: folder },
      stdio: ['ignore', output, output],
    },
  )
  let ended = false
  const gone = new Promise<void>((resolve) => {
    child.on('close', () => {
      ended = true
      resolve()
    })
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const force = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await gone
    clearTimeout(force)
    for (const name of readdirSync(shared)) if (name.startsWith(region)) rmSync(join(shared, name), { force: true })
    rmSync(work, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${http}`
  for (let tries = 0; tries < 600; tries++) {
    // oxlint-disable-next-line no-await-in-loop -- until it answers
    const ready = await fetch(`${url}/v2/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) return { url, grpcAddress: `127.0.0.1:${grpc}`, lives: () => !ended, stop }
    if (ended) break
    await sleep(100) // oxlint-disable-line no-await-in-loop
  }
  const tail = execFileSync('tail', ['-n', '30', log]).toString()
  await stop()
  throw new Error(`Triton did not become ready:\n${tail}`)
}

function writeModel(repository: string, { name, file, inputs, outputs }: TritonModel, folder: string): void {
  const home = join(repository, name)
  mkdirSync(join(home, '1'), { recursive: true })
  writeFileSync(join(home, 'model.onnx'), file)
  const program = readFileSync(join(import.meta.dirname, 'model.py'), 'utf8')
  writeFileSync(join(home, '1', 'model.py'), `import sys; sys.path.insert(0, ${JSON.stringify(folder)})\n${program}`)
  const side = (what: string, sides: readonly Side[]): string =>
    `${what} [${sides.map((each) => `{name: "${each.name}" data_type: ${each.type} dims: [${each.dims.join(', ')}]}`).join(', ')}]`
  writeFileSync(
    join(home, 'config.pbtxt'),
    [
      `name: "${name}"`,
      'backend: "python"',
      'max_batch_size: 0',
      side('input', inputs),
      side('output', outputs),
      'instance_group [{count: 1 kind: KIND_CPU}]',
      '',
    ].join('\n'),
  )
}

async function freePorts(): Promise<[number, number, number]> {
  const servers = await Promise.all(
    [0, 1, 2].map(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports as [number, number, number]
}
