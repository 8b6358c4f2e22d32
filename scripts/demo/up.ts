// The demo, step by step. It uses only what a user has: kubectl, helm, and the files under examples/.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import { openCluster } from '../../test/kit/cluster.ts'
import { directRun, sameFloats } from '../../test/kit/directrun.ts'
import { installSlipway } from '../../test/kit/install.ts'
import { conditionOf, getModel, serves } from '../../test/kit/model.ts'
import { predict } from '../../test/kit/predict.ts'
import type { Shell } from '../../test/kit/shell.ts'
import { storeFiles } from '../../test/kit/storefiles.ts'
import { stopStream } from '../../test/kit/stream.ts'
import { command, show, step } from './report.ts'
import { sharesOf } from './shares.ts'

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
  await step('The first version', async () => {
    // What a demo before has left remembers what it has seen fail.
    await shell.kubectl(['delete', 'mdep', 'silero', '-n', namespace, '--ignore-not-found', '--wait', '--timeout=120s'])
    await rollOut(shell, 'v5', silero.v5)
  })
  await step('Users: a pod that asks 100 times a second', () => startClients(shell, images.modelstore))
  await step('A new version: 10 % of them, 50 %, everybody', () => rollOut(shell, 'v6', silero.v6))
  await step('A version that fails with what users send', () => fail(shell))
  await step('And back to the first one, which is still warm', () => rollOut(shell, 'v5', silero.v5))
  await step('What the users saw', () => stopClients(shell))
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
  await watch(shell, `Ready with ${version}`, (model) => {
    const stalled = conditionOf(model, 'Stalled')
    if (stalled?.status === 'True') throw new Error(`The rollout stalled: ${stalled.message}`)
    return serves(version)(model)
  })
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

/** A rollout that is taken back by itself. It says why, and the version before answers everybody again. */
const fail = async (shell: Shell): Promise<void> => {
  const file = 'examples/silero/narrow.yaml'
  command(`kubectl apply -f ${file}`)
  await shell.kubectl(['apply', '-n', namespace, '-f', file])
  command('kubectl get mdep silero -w')
  const model = await watch(shell, 'rolled back', (seen) => conditionOf(seen, 'Stalled')?.status === 'True')
  command(`kubectl get mdep silero -o jsonpath='{.status.conditions[?(@.type=="Stalled")].message}'`)
  const { reason, message = '' } = conditionOf(model, 'Stalled') ?? {}
  show(message)
  if (reason !== 'TooManyErrors')
    throw new Error(`It was taken back for ${reason ?? 'no reason'} instead of TooManyErrors`)
}

/** Prints the object's row whenever it changes, and what each share came to when it is over. @throws after 5 minutes */
const watch = async (
  shell: Shell,
  what: string,
  isOver: (model: ModelDeployment) => boolean,
): Promise<ModelDeployment> => {
  let [last, shares, epoch, wasOver] = ['', '', -1, false]
  const showShares = (): void => {
    if (shares !== '') show(`  ${shares}`)
    shares = ''
  }
  for (const deadline = Date.now() + 300_000; Date.now() < deadline; await sleep(300)) {
    const table = await shell.kubectl(['get', 'mdep', 'silero', '-n', namespace])
    const model = await getModel(shell, namespace, 'silero')
    if (model.status?.traffic?.epoch !== epoch) showShares()
    epoch = model.status?.traffic?.epoch ?? -1
    shares = sharesOf(model) ?? shares
    const [header = '', row = ''] = table.trim().split('\n')
    // Everything but the age: a row is shown when something else has changed.
    const state = row.replace(/\S+\s*$/, '').replaceAll(/ +/g, ' ')
    if (state !== last)
      show(last === '' ? `${inColumns(header, header)}\n${inColumns(header, row)}` : inColumns(header, row))
    last = state
    // The row was read before the object: what it shows of the end is read in the next round.
    const over = model.status?.observedGeneration === model.metadata.generation && isOver(model)
    if (over && wasOver) return model
    wasOver = over
  }
  throw new Error(`silero was not ${what} after 5 minutes; see: kubectl describe mdep silero`)
}

const clients = 'silero-clients'

const startClients = async (shell: Shell, image: string): Promise<void> => {
  const file = 'examples/silero/clients.yaml'
  const request = 'examples/silero/request.json'
  command(`kubectl create configmap silero-request --from-file=${request}`)
  const asked = ['create', 'configmap', 'silero-request', '-n', namespace, `--from-file=${request}`]
  await shell.kubectl(['apply', '-f', '-'], await shell.kubectl([...asked, '--dry-run=client', '-o', 'yaml']))
  command(`kubectl apply -f ${file}`)
  // Those of a demo before have counted for that one.
  await shell.kubectl(['delete', 'pod', clients, '-n', namespace, '--ignore-not-found', '--wait', '--timeout=60s'])
  await shell.kubectl(['apply', '-n', namespace, '-f', '-'], withImage(readFileSync(file, 'utf8'), image))
  await shell.kubectl(['wait', '-n', namespace, `pod/${clients}`, '--for=condition=Ready', '--timeout=60s'])
}

/** @throws when a request was lost that no failing version is to blame for */
const stopClients = async (shell: Shell): Promise<void> => {
  command(`kubectl delete pod ${clients}`)
  const { sent, ok, failed, byRevision, failures } = await stopStream(shell, namespace, clients)
  const { status } = await getModel(shell, namespace, 'silero')
  const narrow = status?.rejected?.find((r) => r.version === 'narrow')?.revision
  const others = failures.filter(({ revision }) => revision !== narrow)
  const counts = Object.entries(byRevision).map(([revision, count]) => `${count} by ${revision}`)
  const whose = failed === 0 ? '' : `, all of them in ${narrow ?? 'no version'}, the one that was taken back`
  show(`${sent} requests: ${ok} answered (${counts.join(', ')}), ${failed} failed${whose}`)
  if (others.length > 0) throw new Error(`Requests were lost: ${JSON.stringify(others)}`)
}

/** kubectl makes its columns as wide as this one table needs; rows of several tables are lined up by the header instead. */
const inColumns = (header: string, row: string): string =>
  [...header.matchAll(/\S+\s*/g)]
    .map((column, i, all) =>
      row
        .slice(column.index, i === all.length - 1 ? undefined : column.index + column[0].length)
        .trim()
        .padEnd(14),
    )
    .join('')
    .trimEnd()

const withImage = (manifest: string, image: string): string =>
  manifest.replace('image: slipway-modelstore', `image: ${image}`)
