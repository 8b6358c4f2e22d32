// The demo, step by step. It uses only what a user has: kubectl, helm, and the files under examples/.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openCluster } from '../../test/kit/cluster.ts'
import { directRun, sameFloats } from '../../test/kit/directrun.ts'
import { installSlipway } from '../../test/kit/install.ts'
import { predict } from '../../test/kit/predict.ts'
import type { Shell } from '../../test/kit/shell.ts'
import { storeFiles } from '../../test/kit/storefiles.ts'
import { command, show, step } from './report.ts'

export const namespace = 'default'
const request = readFileSync('examples/silero/request.json', 'utf8')

export const demoUp = async (): Promise<void> => {
  const started = performance.now()
  const cluster = await step('A cluster', async () => {
    const found = await openCluster()
    show(
      found.owned ? 'A cluster of our own is up (KUBECONFIG named none).' : 'Using the cluster that KUBECONFIG names.',
    )
    return found
  })
  const { silero, files } = await step(
    'Two versions of a real model: Silero VAD v5 and v6, from their npm package',
    storeFiles,
  )
  const images = await step('Images: operator, runtime, Envoy, and a small model store', async () => {
    const built = await cluster.images(files, show)
    for (const [name, image] of Object.entries(built)) show(`${name.padEnd(11)} ${image}`)
    return built
  })
  const { shell } = cluster
  await step('Slipway, by Helm', async () => {
    command('helm upgrade --install slipway charts/slipway -n slipway-system --create-namespace --wait')
    await installSlipway(shell, images)
  })
  await step('The model store', async () => {
    command('kubectl apply -f examples/silero/store.yaml')
    await shell.kubectl(
      ['apply', '-n', namespace, '-f', '-'],
      withImage(readFileSync('examples/silero/store.yaml', 'utf8'), images.modelstore),
    )
    await shell.kubectl(['rollout', 'status', '-n', namespace, 'deployment/model-store', '--timeout=120s'])
  })
  for (const [version, title] of [
    ['v5', 'The first version'],
    ['v6', 'A new version, under the same address'],
    ['v5', 'And back'],
  ] as const) {
    await step(title, () => rollOut(shell, version, silero[version]))
  }
  console.log(
    `\nAll three predictions equal a direct onnxruntime run on the same input. Whole demo: ${Math.round((performance.now() - started) / 1000)} s.`,
  )
  console.log('\nTry next:')
  if (cluster.owned) console.log('  eval "$(npm run --silent cluster -- env)"     # kubectl and helm for this cluster')
  console.log('  kubectl get mdep,mrev')
  console.log('  kubectl describe mdep silero')
  console.log('  kubectl apply -f examples/silero/v6.yaml && kubectl get mdep silero -w')
  console.log('  make demo-down')
}

/** Applies one version, shows the object while it moves, predicts, and compares with a direct run. */
const rollOut = async (shell: Shell, version: 'v5' | 'v6', model: string): Promise<void> => {
  const file = `examples/silero/${version}.yaml`
  command(`kubectl apply -f ${file}`)
  await shell.kubectl(['apply', '-n', namespace, '-f', file])
  command('kubectl get mdep silero -w')
  await watchUntilReady(shell, version)
  command('curl -s http://silero/v2/models/silero/infer -d @examples/silero/request.json')
  const answer = await predict(shell, namespace, 'silero', request)
  const output = answer.body.outputs?.find((o) => o.name === 'output')
  if (answer.status !== 200 || output === undefined)
    throw new Error(`The prediction failed with HTTP ${answer.status}: ${answer.body.error ?? 'no output'}`)
  show(`${answer.body.model_version} (${answer.revision}) says: speech probability ${output.data.join(', ')}`)
  const expected = (await directRun(model, request))['output'] ?? []
  const same = sameFloats(output.data, expected)
  show(`a direct onnxruntime run of the same file says: ${expected.join(', ')}   ${same ? 'equal' : 'DIFFERENT'}`)
  if (!same || answer.body.model_version !== version) {
    throw new Error(
      `${version} was asked for; ${answer.body.model_version} answered ${output.data.join(', ')} instead of ${expected.join(', ')}`,
    )
  }
}

/** Prints the object's row whenever it changes, until it is Ready with the version. @throws when it stalls or takes 5 minutes */
const watchUntilReady = async (shell: Shell, version: string): Promise<void> => {
  let last = ''
  for (const deadline = Date.now() + 300_000; Date.now() < deadline; await sleep(300)) {
    const table = await shell.kubectl(['get', 'mdep', 'silero', '-n', namespace])
    const [header = '', row = ''] = table.trim().split('\n')
    // Everything but the age: a row is shown when something else has changed.
    const state = row.replace(/\S+\s*$/, '').replaceAll(/ +/g, ' ')
    if (state !== last)
      show(last === '' ? `${inColumns(header, header)}\n${inColumns(header, row)}` : inColumns(header, row))
    last = state
    const object = await shell.json<{
      metadata: { generation: number }
      status?: {
        observedGeneration?: number
        stable?: { version: string }
        conditions?: { type: string; status: string; message: string }[]
      }
    }>(['get', 'mdep', 'silero', '-n', namespace])
    if (object.status?.observedGeneration !== object.metadata.generation) continue
    const stalled = object.status.conditions?.find((c) => c.type === 'Stalled' && c.status === 'True')
    if (stalled !== undefined) throw new Error(`The rollout stalled: ${stalled.message}`)
    const ready = object.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True')
    if (ready === true && object.status.stable?.version === version) return
  }
  throw new Error(`silero was not Ready with ${version} after 5 minutes; see: kubectl describe mdep silero`)
}

/** kubectl makes its columns as wide as this one table needs; rows of several tables are lined up by the header instead. */
const inColumns = (header: string, row: string): string =>
  [...header.matchAll(/\S+\s*/g)]
    .map((column) =>
      row
        .slice(column.index, column.index + column[0].length)
        .trim()
        .padEnd(14),
    )
    .join('')
    .trimEnd()

const withImage = (manifest: string, image: string): string =>
  manifest.replace('image: slipway-modelstore', `image: ${image}`)
