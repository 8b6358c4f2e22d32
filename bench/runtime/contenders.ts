// Who is measured: our runtime and the servers that people use instead, each with how it is installed and started.
// Python packages go into the cache, in the versions named here.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runtimeStart } from '../../test/fixtures/program.ts'
import { pythonWith } from '../../test/kit/python.ts'
import type { Declared } from './models.ts'
import { connectGrpc } from './lanes/grpc.ts'
import { connectHttp } from './lanes/http.ts'
import { checkAnswer } from './expected.ts'
import { bodiesOf, type Form } from './requests.ts'
import { place, startServer, type Launch, type Ports, type Running, type Serving } from './server.ts'

export const contenderNames = [
  'slipway',
  'express',
  'fastapi',
  'mlserver',
  'kserve',
  'triton',
  'bentoml',
  'torchserve',
  'bare',
] as const
export type ContenderName = (typeof contenderNames)[number]

interface Contender {
  /** What is measured, with its version. */
  readonly title: string
  readonly forms: readonly Form[]
  readonly live: string
  /** Where requests go; the protocol's path unless it has another. */
  readonly path?: string
  readonly launch: (serving: Serving, ports: Ports, folder: string) => Promise<Launch>
}

const here = import.meta.dirname
const peers = join(here, 'peers')
const ort = 'onnxruntime==1.32.0'

const variables = ({ file, threads }: Serving): Record<string, string> => ({ MODEL: file, THREADS: String(threads) })

export const contenders: Readonly<Record<ContenderName, Contender>> = {
  slipway: {
    title: 'Slipway runtime (onnxruntime-node 1.30.0)',
    forms: ['json', 'binary', 'grpc'],
    live: '/v2/health/live',
    launch: ({ file, environment = {} }, ports, folder) =>
      Promise.resolve({
        command: [process.execPath, ...runtimeStart().args, 'serve'],
        environment: {
          ...runtimeStart().environment,
          SLIPWAY_MODEL_FILE: file,
          SLIPWAY_MODEL_NAME: 'm',
          SLIPWAY_HTTP_PORT: String(ports.http),
          SLIPWAY_GRPC_PORT: String(ports.grpc),
          SLIPWAY_METRICS_PORT: String(ports.others[0]),
          SLIPWAY_TERMINATION_LOG: join(folder, 'termination'),
          SLIPWAY_DRAIN_DELAY_MS: '0',
          ...environment,
        },
      }),
  },
  express: {
    title: 'express 5.3.0 + onnxruntime-node 1.30.0',
    forms: ['json', 'binary'],
    live: '/v2/health/live',
    launch: ({ file, threads }, { http }) =>
      Promise.resolve({
        command: [process.execPath, join(peers, 'express.ts'), file, String(http), String(threads)],
        environment: {},
      }),
  },
  fastapi: {
    title: 'FastAPI 0.121.0 + onnxruntime 1.32.0',
    forms: ['json'],
    live: '/v2/health/live',
    async launch(serving, { http }) {
      const python = await pythonWith(['fastapi==0.121.0', 'uvicorn[standard]==0.38.0', ort])
      const options = ['--app-dir', peers, '--port', String(http), '--no-access-log', '--log-level', 'warning']
      return { command: [python, '-m', 'uvicorn', 'fastapi_app:app', ...options], environment: variables(serving) }
    },
  },
  mlserver: {
    title: 'MLServer 1.7.1 + onnxruntime 1.32.0',
    forms: ['json'],
    live: '/v2/health/live',
    async launch(serving, { http, grpc, others }, folder) {
      const python = await pythonWith(['mlserver==1.7.1', ort, 'uvloop==0.21.0'])
      copyFileSync(join(peers, 'mlserver_onnx.py'), join(folder, 'mlserver_onnx.py'))
      // One worker process of its own would halve its rate.
      const settings = {
        debug: false,
        host: '127.0.0.1',
        http_port: http,
        grpc_port: grpc,
        metrics_port: others[0],
        parallel_workers: 0,
        logging_settings: undefined,
      }
      place(join(folder, 'settings.json'), JSON.stringify(settings))
      const model = { name: 'm', implementation: 'mlserver_onnx.Onnx', parameters: { uri: serving.file } }
      place(join(folder, 'model-settings.json'), JSON.stringify(model))
      const program = 'import sys; sys.argv[0] = "mlserver"; from mlserver.cli import main; main()'
      return { command: [python, '-c', program, 'start', '.'], environment: variables(serving) }
    },
  },
  kserve: {
    title: 'KServe SDK 0.21.0 + onnxruntime 1.32.0',
    forms: ['json', 'binary', 'grpc'],
    live: '/v2/health/live',
    async launch(serving, { http, grpc }) {
      const python = await pythonWith(['kserve==0.21.0', ort])
      const options = [`--http_port=${http}`, `--grpc_port=${grpc}`, '--enable_latency_logging=false']
      return {
        command: [python, join(peers, 'kserve_server.py'), ...options],
        environment: variables(serving),
      }
    },
  },
  triton: {
    title: 'Triton 2.51.0, python backend + onnxruntime 1.32.0',
    forms: ['json', 'binary', 'grpc'],
    live: '/v2/health/live',
    launch: launchTriton,
  },
  bentoml: {
    title: 'BentoML 1.4.39 + onnxruntime 1.32.0',
    forms: ['json'],
    live: '/livez',
    path: '/infer',
    async launch(serving, { http }) {
      const python = await pythonWith(['bentoml==1.4.39', ort])
      const options = ['--host', '127.0.0.1', '--port', String(http), '--working-dir', peers]
      return {
        command: [python, '-m', 'bentoml', 'serve', 'bento_service:Onnx', ...options],
        environment: { ...variables(serving), BENTOML_DO_NOT_TRACK: 'true' },
      }
    },
  },
  torchserve: {
    title: 'TorchServe 0.12.0 + onnxruntime 1.32.0',
    forms: ['json'],
    live: '/ping',
    path: '/predictions/m',
    launch: launchTorchServe,
  },
  bare: {
    title: 'node:http with one ready answer (no model, the ceiling)',
    forms: ['json'],
    live: '/v2/health/live',
    launch: ({ file }, { http }) =>
      Promise.resolve({ command: [process.execPath, join(peers, 'bare.ts'), file, String(http)], environment: {} }),
  },
}

async function launchTriton(serving: Serving, { http, grpc, others }: Ports, folder: string): Promise<Launch> {
  const python = await pythonWith(['nvidia-pytriton==0.7.0', ort])
  const packages = join(dirname(python), 'packages')
  const triton = join(packages, 'pytriton/tritonserver')
  const backends = join(folder, 'backends')
  cpSync(join(triton, 'backends/python'), join(backends, 'python'), { recursive: true })
  const minor = execFileSync(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' })
  const stub = 'triton_python_backend_stub'
  rmSync(join(backends, 'python', stub), { force: true })
  symlinkSync(join(triton, 'python_backend_stubs', minor.trim(), stub), join(backends, 'python', stub))
  const home = join(folder, 'models/m')
  mkdirSync(join(home, '1'), { recursive: true })
  copyFileSync(join(peers, 'triton_model.py'), join(home, '1/model.py'))
  const { inputs, outputs } = serving.model
  // The first dimension is the batch.
  const side = (kind: string, values: readonly Declared[]): string =>
    `${kind} [${values
      .map(
        ({ name, datatype, shape }) =>
          `{name: "${name}" data_type: TYPE_${datatype} dims: [${shape.slice(1).join(', ')}]}`,
      )
      .join(', ')}]`
  place(
    join(home, 'config.pbtxt'),
    [
      'name: "m"',
      'backend: "python"',
      'max_batch_size: 8',
      side('input', inputs),
      side('output', outputs),
      'instance_group [{count: 1 kind: KIND_CPU}]',
      '',
    ].join('\n'),
  )
  const region = `slipway_bench_${http}_`
  const ports = { http, grpc, metrics: others[0] }
  return {
    command: [
      join(triton, 'bin/tritonserver'),
      `--model-repository=${join(folder, 'models')}`,
      `--backend-directory=${backends}`,
      ...Object.entries(ports).flatMap(([what, port]) => [`--${what}-address=127.0.0.1`, `--${what}-port=${port}`]),
      `--backend-config=python,shm-region-prefix-name=${region}`,
      '--backend-config=python,shm-default-byte-size=4194304',
    ],
    environment: {
      ...variables(serving),
      PACKAGES: packages,
      PYTHONPATH: packages,
      LD_LIBRARY_PATH: join(packages, 'nvidia_pytriton.libs'),
    },
    clean() {
      const shared = '/dev/shm'
      for (const name of readdirSync(shared)) if (name.startsWith(region)) rmSync(join(shared, name), { force: true })
    },
  }
}

async function launchTorchServe(serving: Serving, { http, grpc, others }: Ports, folder: string): Promise<Launch> {
  const packages = ['torchserve==0.12.0', 'torch-model-archiver==0.12.0', 'pyyaml==6.0.3', ort]
  const python = await pythonWith(packages)
  // It imports torch for names that a handler without torch never uses.
  mkdirSync(join(folder, 'torch'))
  place(
    join(folder, 'torch/__init__.py'),
    [
      '__version__ = "0"',
      'class Tensor: pass',
      'def save(*_, **__): raise RuntimeError("there is no torch here")',
      'class cuda:',
      '    @staticmethod',
      '    def is_available(): return False',
      '',
    ].join('\n'),
  )
  // Its front end starts the Python that started it, with what stands in PYTHONPATH.
  place(
    join(folder, 'python'),
    `#!/bin/sh\nPYTHONPATH='${folder}:${join(dirname(python), 'packages')}' exec python3 "$@"\n`,
  )
  chmodSync(join(folder, 'python'), 0o755)
  const [management, metrics, grpcManagement] = others
  const properties = {
    inference_address: `http://127.0.0.1:${http}`,
    management_address: `http://127.0.0.1:${management}`,
    metrics_address: `http://127.0.0.1:${metrics}`,
    grpc_inference_address: '127.0.0.1',
    grpc_management_address: '127.0.0.1',
    grpc_inference_port: grpc,
    grpc_management_port: grpcManagement,
    default_workers_per_model: 1,
    disable_token_authorization: true,
    enable_envvars_config: false,
    disable_system_metrics: true,
    install_py_dep_per_model: false,
  }
  place(
    join(folder, 'config.properties'),
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  mkdirSync(join(folder, 'store'))
  place(join(folder, 'empty.onnx'), '')
  const handler = join(peers, 'torchserve_handler.py')
  const archive = ['--model-name', 'm', '--version', '1.0', '--serialized-file', 'empty.onnx', '--handler', handler]
  const archiver = 'from model_archiver.model_packaging import generate_model_archive as run; run()'
  execFileSync(python, ['-c', archiver, ...archive, '--export-path', 'store'], { cwd: folder, stdio: 'ignore' })
  const program = 'import sys; sys.argv[0] = "torchserve"; from ts.model_server import start; start()'
  const options = ['--start', '--foreground', '--ncs', '--disable-token-auth', '--model-store', 'store']
  return {
    command: [
      join(folder, 'python'),
      '-c',
      program,
      ...options,
      '--models',
      'm=m.mar',
      '--ts-config',
      'config.properties',
    ],
    environment: {
      ...variables(serving),
      LOG_LOCATION: folder,
      METRICS_LOCATION: folder,
    },
  }
}

/** A server that answers. */
export interface Started extends Running {
  readonly name: ContenderName
  readonly forms: readonly Form[]
  readonly path: string
  readonly live: string
}

export async function start(name: ContenderName, serving: Serving): Promise<Started> {
  const { launch, forms, live, path = '/v2/models/m/infer' } = contenders[name]
  const requests = bodiesOf(serving.model, 'json').slice(0, 1)
  const answers = async ({ http }: Ports): Promise<boolean> => {
    const [lane] = connectHttp({ port: http, path, requests, connections: 1 })
    try {
      await lane?.ask()
      return true
    } catch {
      return false
    } finally {
      lane?.close()
    }
  }
  const running = await startServer((ports, folder) => launch(serving, ports, folder), serving.quota, answers)
  return { ...running, name, forms, live, path }
}

/**
 * Asks each request of the model once in a form.
 * @throws Error with the server's words, or saying where it answers something else than a direct run
 */
export async function checkServer({ path, ports }: Started, { model, expected }: Serving, form: Form): Promise<void> {
  const requests = bodiesOf(model, form)
  const [lane] =
    form === 'grpc'
      ? connectGrpc({ port: ports.grpc, requests, connections: 1 })
      : connectHttp({ port: ports.http, path, requests, connections: 1 })
  try {
    // oxlint-disable-next-line no-await-in-loop -- a lane asks one after another
    for (const each of expected) checkAnswer((await lane?.ask()) ?? new Uint8Array(), form, each)
  } finally {
    lane?.close()
  }
}
