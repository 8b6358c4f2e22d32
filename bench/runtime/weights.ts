// `npm run bench:weights`: what each further session of one large model costs in memory, and what sharing its weights
// costs in speed. For decision 0153; a table on stdout, everything else on stderr. --json FILE writes the figures.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { InferenceSession, Tensor, env } from 'onnxruntime-node'
import { onnxModel } from '../../test/fixtures/onnx.ts'

const layers = [1024, 4096, 4096, 1000] as const
const sessions = 4
const variants = ['as it is', 'weights in a file of their own', 'the same, without prepacking'] as const

/** One variant in a process of its own, so that nothing of another is counted. */
interface Figures {
  readonly variant: string
  readonly firstMb: number
  /** Memory that each further session adds. */
  readonly furtherMb: number
  readonly ms: { readonly batch1: number; readonly batch8: number }
}

const [, , role, folder = '', variant = ''] = process.argv
if (role === 'measure') await measure(folder, variant)
else await main()

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: 'string' }, quick: { type: 'boolean', default: false } } })
  const work = mkdtempSync(join(tmpdir(), 'slipway-weights-'))
  try {
    writeFileSync(join(work, 'model.onnx'), mlp())
    await InferenceSession.create(join(work, 'model.onnx'), {
      optimizedModelFilePath: join(work, 'apart.onnx'),
      graphOptimizationLevel: 'basic',
      extra: {
        session: {
          optimized_model_external_initializers_file_name: 'apart.bin',
          optimized_model_external_initializers_min_size_in_bytes: '1024',
        },
      },
    } as InferenceSession.SessionOptions)
    const figures: Figures[] = []
    for (let round = 0; round < (values.quick ? 1 : 3); round++) {
      for (const name of variants) {
        // oxlint-disable-next-line no-await-in-loop -- one at a time has the machine
        const { stdout } = await promisify(execFile)(process.execPath, [import.meta.filename, 'measure', work, name])
        figures.push(JSON.parse(stdout) as Figures)
        process.stderr.write(stdout)
      }
    }
    const sizeMb = statSync(join(work, 'model.onnx')).size / 2 ** 20
    console.log(`model of ${sizeMb.toFixed(0)} MiB, ${sessions} sessions, medians of the rounds`)
    console.log('variant | first session MiB | each further MiB | ms at batch 1 | ms at batch 8')
    for (const name of variants) {
      const found = figures.filter((one) => one.variant === name)
      const median = (pick: (one: Figures) => number): string =>
        (found.map(pick).toSorted((a, b) => a - b)[found.length >> 1] ?? 0).toFixed(1)
      const columns = [
        median((f) => f.firstMb),
        median((f) => f.furtherMb),
        median((f) => f.ms.batch1),
        median((f) => f.ms.batch8),
      ]
      console.log([name, ...columns].join(' | '))
    }
    if (values.json !== undefined) {
      const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, ort: env.versions.node }
      writeFileSync(values.json, JSON.stringify({ machine, sizeMb, figures }, null, 1))
    }
  } finally {
    rmSync(work, { recursive: true })
  }
}

async function measure(work: string, name: string): Promise<void> {
  const file = join(work, name === variants[0] ? 'model.onnx' : 'apart.onnx')
  const options = {
    intraOpNumThreads: 1,
    extra: { session: { disable_prepacking: name === variants[2] ? '1' : '0' } },
  } as InferenceSession.SessionOptions
  const before = heldMb()
  const first = await warm(file, options)
  const one = heldMb()
  const further = []
  // oxlint-disable-next-line no-await-in-loop -- loading in several threads at once has crashed ONNX Runtime
  for (let index = 1; index < sessions; index++) further.push(await warm(file, options))
  const all = heldMb()
  const ms = { batch1: await runMs(first, 1), batch8: await runMs(first, 8) }
  const figures: Figures = { variant: name, firstMb: one - before, furtherMb: (all - one) / (sessions - 1), ms }
  console.log(JSON.stringify(figures))
}

async function warm(file: string, options: InferenceSession.SessionOptions): Promise<InferenceSession> {
  const session = await InferenceSession.create(file, options)
  await runMs(session, 8, 2)
  return session
}

async function runMs(session: InferenceSession, rows: number, runs = 15): Promise<number> {
  const x = new Tensor('float32', Float32Array.from({ length: rows * layers[0] }, Math.sin), [rows, layers[0]])
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    const started = performance.now()
    await session.run({ x }) // oxlint-disable-line no-await-in-loop
    times.push(performance.now() - started)
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0
}

/**
 * What the process takes, in MiB: of pages that several mappings share, each counts its part (the kernel's Pss), so that
 * a file mapped by four sessions counts once.
 */
function heldMb(): number {
  const [, kb = '0'] = /^Pss: +(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8')) ?? []
  return Number(kb) / 1024
}

function mlp(): Buffer {
  const at = (layer: number): string => (layer === 0 ? 'x' : layer === layers.length - 1 ? 'y' : `h${layer}`)
  const pairs = layers.slice(1).map((width, index) => ({ from: layers[index] ?? 0, to: width, index }))
  return onnxModel({
    nodes: pairs.map(({ index }) => ({ op: 'MatMul', inputs: [at(index), `w${index}`], outputs: [at(index + 1)] })),
    inputs: [{ name: 'x', type: 'FLOAT', shape: ['n', layers[0]] }],
    outputs: [{ name: 'y', type: 'FLOAT', shape: ['n', layers[3]] }],
    initializers: pairs.map(({ from, to, index }) => ({
      name: `w${index}`,
      type: 'FLOAT',
      shape: [from, to],
      data: new Uint8Array(Float32Array.from({ length: from * to }, (_, i) => Math.sin(i) / 64).buffer),
    })),
  })
}
