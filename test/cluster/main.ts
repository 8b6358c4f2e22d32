// `npm run cluster -- up | down | status | env`: a Kubernetes cluster for demos and tests, at hand on any Linux machine.
import { basename, delimiter, dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { kubectlPath } from './binaries.ts'
import { DEFAULT_CLUSTER, down, kubeconfigOf, up } from './lifecycle.ts'
import { toStderr } from './report.ts'
import { clusterNames, readState } from './state.ts'
import { describeClusters, renderTable } from './status.ts'

const USAGE = `npm run cluster -- COMMAND
  up [--nodes N] [--name X]            a cluster with nodes (root; the first time builds Kubernetes, some 8 minutes)
  up --control-plane [--name X]        an API server and controllers only, no root
  down [--name X | --all]              takes it down; nothing is left but the cache of programs
  status [--json]                      what is up
  env [--name X]                       eval "$(npm run --silent cluster -- env)" sets KUBECONFIG and PATH`

const CONTROL_PLANE = 'control-plane'

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      'control-plane': { type: 'boolean', default: false },
      nodes: { type: 'string' },
      name: { type: 'string' },
      all: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const name = values.name ?? (values['control-plane'] ? CONTROL_PLANE : DEFAULT_CLUSTER)
  switch (positionals.join(' ')) {
    case 'up':
      return bringUp(name, values['control-plane'], values.nodes)
    case 'down':
      return takeDown(values.all ? await clusterNames() : [name])
    case 'status':
      return showStatus(values.json)
    case 'env':
      return showEnvironment(name)
    default:
      process.stderr.write(`${USAGE}\n`)
      process.exitCode = 64
  }
}

async function bringUp(name: string, isControlPlane: boolean, nodes: string | undefined): Promise<void> {
  if (isControlPlane && nodes !== undefined) throw new Error('--nodes and --control-plane exclude each other')
  const kind = isControlPlane ? 'control-plane' : 'nodes'
  const was = await up({ name, kind, nodes: isControlPlane ? 0 : Number(nodes ?? 1), report: toStderr })
  const option = name === DEFAULT_CLUSTER ? '' : ` --name ${name}`
  process.stdout.write(
    [
      was ? `The cluster "${name}" is up already.` : `The cluster "${name}" is up.`,
      `  kubeconfig: ${kubeconfigOf(name)}`,
      `  eval "$(npm run --silent cluster -- env${option})"     # kubectl and helm for it`,
      `  npm run cluster -- down${option}`,
      '',
    ].join('\n'),
  )
}

async function takeDown(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const wasThere = await down(name, toStderr)
    process.stdout.write(wasThere ? `The cluster "${name}" is gone.\n` : `There is no cluster "${name}".\n`)
  }
}

async function showStatus(asJson: boolean): Promise<void> {
  const clusters = await describeClusters()
  process.stdout.write(asJson ? `${JSON.stringify(clusters, null, 2)}\n` : renderTable(clusters))
}

async function showEnvironment(name: string): Promise<void> {
  const state = await readState(name)
  if (!state) throw new Error(`there is no cluster "${name}"; npm run cluster -- up brings one up`)
  const tools = dirname(await kubectlPath())
  process.stdout.write(
    `export KUBECONFIG=${quote(kubeconfigOf(name))}\nexport PATH=${quote(tools)}${delimiter}"$PATH"\n`,
  )
}

/** A word for a shell, whatever it holds. */
function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${basename(import.meta.dirname)}: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
