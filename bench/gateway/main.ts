// npm run gateway:check -- [--json FILE] [--requests N] [--steps 10,50]
// Mode Gateway against a real implementation: Envoy Gateway on a real node, a canary by these steps and 100 %, the shares
// that clients count in three protocols, and every request of a constant load that failed meanwhile.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KUBERNETES_VERSION } from '../../test/cluster/version.ts'
import { installEnvoyGateway, openGateway } from '../../test/gateway/envoygateway.ts'
import { give } from '../../test/integration/cli/session.ts'
import { e2e } from '../../test/kit/e2e.ts'
import { envoyVersion } from '../../test/kit/envoy.ts'
import { applyModel, getModel, serves, waitForModel } from '../../test/kit/model.ts'
import { thousandths } from '../../operator/rollout/steps.ts'
import { allRequests } from '../../operator/rollout/traffic.ts'
import { columns, machineNow, round } from '../figures.ts'
import { countInterval } from '../../test/kit/binomial.ts'
import { startLoad, type LoadOptions } from '../router/client.ts'
import type { Protocol } from '../router/client/protocols.ts'
import type { Cell } from '../router/shares.ts'
import { clientManifest, model, small, smallGrpc } from '../router/world.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'string' },
    requests: { type: 'string', default: '20000' },
    steps: { type: 'string', default: '10,50' },
  },
})
const requests = Number(values.requests)
if (!Number.isSafeInteger(requests) || requests < 1000)
  throw new Error(`--requests is ${values.requests}: give a whole number of at least 1000`)
const steps = values.steps.split(',').map((step) => ({ weight: `${step}%`, minDuration: '5s' }))
const began = performance.now()
const report = (line: string): void => {
  process.stderr.write(`[${Math.round((performance.now() - began) / 1000)} s] ${line}\n`)
}

/** An honest split misses one cell of a hundred. */
const alpha = 0.01
/** Requests a second of each constant load. */
const rate = 50

report('the cluster, the images, Slipway')
const world = await e2e('gateway')
const { shell, namespace } = world
const kubeconfig = shell.env['KUBECONFIG'] ?? ''
try {
  report('Envoy Gateway')
  const version = await installEnvoyGateway(shell, world.images.envoy, report)
  const address = await openGateway(shell, namespace, 'public')
  report(`Envoy Gateway ${version} serves at ${address}`)
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify(clientManifest(namespace, world.images.modelstore)))
  await shell.kubectl(['wait', '-n', namespace, 'pod', '--all', '--for=condition=Ready', '--timeout=120s'])

  const spec = (name: string): Record<string, unknown> => ({
    model: { uri: `${world.store}/models/add.onnx`, version: name },
    replicas: 2,
    resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '512Mi' } },
    traffic: { mode: 'Gateway', gateway: { parentRefs: [{ name: 'public' }] } },
    rollout: {
      steps,
      keepPreviousFor: '0s',
    },
  })
  const waitFor = (what: string, claim: Parameters<typeof waitForModel>[4]) =>
    waitForModel(shell, namespace, model, what, claim, 300_000)
  await applyModel(shell, namespace, model, spec('one'))
  await waitFor('Ready', serves('one'))
  await waitFor('reached by gRPC too', ({ status }) => status?.traffic?.routers?.acked === 2)
  const host = { host: address, port: 80 }
  const load = (options: Partial<LoadOptions>) => startLoad(shell, namespace, { ...small, ...options, ...host })

  report('a constant load in two protocols')
  const constant = await Promise.all([
    load({ protocol: 'http1', rate, workers: 16 }),
    load({ protocol: 'http1', rate, workers: 16, keepAlive: false }),
    load({ ...smallGrpc(), rate, workers: 16 }),
  ])
  const cells: Cell[] = []
  await applyModel(shell, namespace, model, spec('two'))
  for (const weight of [...steps.map((step) => thousandths(step.weight)), allRequests]) {
    const { status } = await waitFor(`waiting at ${weight / 10} %`, ({ status: now }) => {
      const { candidate } = now ?? {}
      return candidate?.stepWeight === weight && candidate.substep === 'Gate'
    })
    const candidate = status?.candidate?.revision ?? ''
    for (const protocol of ['http1', 'h2c', 'grpc'] as const) {
      const cell = await count(load, protocol, weight, candidate)
      cells.push(cell)
      report(
        `${weight / 10} % ${protocol}: ${cell.hits} of ${requests}, chance gives ${cell.low} to ${cell.high}, ${cell.failed} failed`,
      )
    }
    const { code, note } = await give(['promote', model, '-n', namespace], { kubeconfig })
    if (code !== 0) throw new Error(`promote: ${note}`)
  }
  await waitFor('Ready with two', serves('two'))
  await world.until('the old pods are gone', async () => {
    const { items } = await shell.json<{ readonly items: readonly unknown[] }>([
      'get',
      'deployments',
      '-n',
      namespace,
      '-l',
      'slipway.dev/model-deployment',
    ])
    return items.length === 1
  })
  const summaries = await Promise.all(constant.map((each) => each.stop()))
  const status = (await getModel(shell, namespace, model)).status
  const result = {
    machine: machineNow(),
    versions: { node: process.version, kubernetes: KUBERNETES_VERSION, envoy: envoyVersion, envoyGateway: version },
    cells,
    constant: summaries.map(({ sent, ok, failed, byRevision, failures, p50Ms, p99Ms, maxMs }) => ({
      sent,
      ok,
      failed,
      byRevision,
      p50Ms,
      p99Ms,
      maxMs,
      failures: failures.slice(0, 20),
    })),
    history: status?.history,
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
  console.log(
    columns([
      ['share', 'protocol', 'requests', 'measured', 'points off', 'inside 99 %', 'failed'],
      ...cells.map(({ weight, protocol, requests: sent, hits, inside, failed }) => [
        `${weight / 10} %`,
        protocol,
        String(sent),
        `${round((100 * hits) / sent, 2)} %`,
        String(round(Math.abs((100 * hits) / sent - weight / 10), 2)),
        inside ? 'yes' : 'no',
        String(failed),
      ]),
    ]),
  )
  const [sent, failed] = [sum(summaries.map((s) => s.sent)), sum(summaries.map((s) => s.failed))]
  console.log(`\nconstant load through the whole rollout: ${failed} of ${sent} requests failed`)
  for (const { error } of summaries.flatMap((s) => s.failures).slice(0, 10)) console.log(`  ${error}`)
  if (failed > 0 || cells.some((cell) => cell.failed > 0 || !cell.inside)) process.exitCode = 1
} finally {
  await world.close()
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0)
}

async function count(
  load: (options: Partial<LoadOptions>) => ReturnType<typeof startLoad>,
  protocol: Protocol,
  weight: number,
  candidate: string,
): Promise<Cell> {
  const options: Partial<LoadOptions> = protocol === 'grpc' ? smallGrpc() : { protocol }
  const { byRevision, failed } = await (await load({ ...options, count: requests, workers: 32 })).done
  const hits = byRevision[candidate] ?? 0
  const [low, high] = weight < allRequests ? countInterval(requests, weight / allRequests, alpha) : [requests, requests]
  return { protocol, weight, requests, hits, failed, low, high, inside: failed === 0 && hits >= low && hits <= high }
}
