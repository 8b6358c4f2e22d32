// Envoy Gateway in a cluster, by its own Helm chart and with its own CRDs, all out of its Go module. Its program is built
// once per version into the cache, which takes some 20 minutes on two cores: never part of the test levels.
import { cp, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { resolveBase } from '../../images/base.ts'
import { findEngine } from '../../images/engine.ts'
import { goPrograms } from '../cluster/binaries.ts'
import { run } from '../cluster/commands.ts'
import { findGo } from '../cluster/go.ts'
import type { Report } from '../cluster/report.ts'
import { resolveCluster } from '../cluster/resolve.ts'
import type { Shell } from '../kit/shell.ts'

const source = 'github.com/envoyproxy/gateway'
const goModule = join(import.meta.dirname, 'binaries')
const systemNamespace = 'envoy-gateway-system'

/** Installs it, with this Envoy for its proxies, and a GatewayClass `envoy` whose Gateways get a Service of type ClusterIP. */
export const installEnvoyGateway = async (shell: Shell, envoyImage: string, report: Report): Promise<string> => {
  const { folder, version } = await moduleOf(report)
  const image = await imageOf(version, report)
  const chart = await mkdtemp(join(tmpdir(), 'slipway-envoy-gateway-'))
  try {
    await cp(join(folder, 'charts/gateway-helm'), chart, { recursive: true, mode: 0 })
    // Files of modules are read-only.
    await run('chmod', ['-R', 'u+w', chart])
    const template = await readFile(join(chart, 'values.tmpl.yaml'), 'utf8')
    const values = template.replace('${GatewayImage}', '""').replace('${GatewayImagePullPolicy}', 'IfNotPresent')
    await writeFile(join(chart, 'values.yaml'), values)
    const [repository = '', tag = ''] = splitTag(image)
    await shell.helm([
      'upgrade',
      '--install',
      'eg',
      chart,
      `--namespace=${systemNamespace}`,
      '--create-namespace',
      `--set=deployment.envoyGateway.image.repository=${repository}`,
      `--set=deployment.envoyGateway.image.tag=${tag}`,
      `--set=config.envoyGateway.provider.kubernetes.shutdownManager.image=${image}`,
      '--set=topologyInjector.enabled=false',
      '--wait',
      '--timeout=5m',
    ])
  } finally {
    await rm(chart, { recursive: true, force: true })
  }
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify(gatewayClass(envoyImage)))
  return version
}

/** A Gateway that listens for HTTP on port 80, and where its clients reach it. */
export const openGateway = async (shell: Shell, namespace: string, name: string): Promise<string> => {
  const gateway = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace },
    spec: { gatewayClassName: 'envoy', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
  }
  await shell.kubectl(['apply', '-f', '-'], JSON.stringify(gateway))
  await shell.kubectl(['wait', '-n', namespace, `gateway/${name}`, '--for=condition=Programmed', '--timeout=240s'])
  const { status } = await shell.json<{
    readonly status: { readonly addresses: readonly { readonly value: string }[] }
  }>(['get', 'gateway', name, '-n', namespace])
  const address = status.addresses[0]?.value
  if (address === undefined) throw new Error(`Gateway ${namespace}/${name} has no address`)
  return address
}

const gatewayClass = (envoyImage: string) => ({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'gateway.envoyproxy.io/v1alpha1',
      kind: 'EnvoyProxy',
      metadata: { name: 'slipway', namespace: systemNamespace },
      spec: {
        provider: {
          type: 'Kubernetes',
          kubernetes: {
            envoyDeployment: {
              container: { image: envoyImage, resources: { requests: { cpu: '50m', memory: '64Mi' } } },
            },
            envoyService: { type: 'ClusterIP' },
          },
        },
      },
    },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name: 'envoy' },
      spec: {
        controllerName: 'gateway.envoyproxy.io/gatewayclass-controller',
        parametersRef: {
          group: 'gateway.envoyproxy.io',
          kind: 'EnvoyProxy',
          name: 'slipway',
          namespace: systemNamespace,
        },
      },
    },
  ],
})

const moduleOf = async (report: Report): Promise<{ readonly folder: string; readonly version: string }> => {
  const go = await findGo(report)
  const environment = { ...go.environment, GOFLAGS: '-mod=readonly', GOWORK: 'off' }
  const said = await run(go.program, ['mod', 'download', '-json', source], { cwd: goModule, environment })
  const { Dir: folder, Version: version } = JSON.parse(said) as { readonly Dir: string; readonly Version: string }
  return { folder, version }
}

/** @returns the image as the cluster's nodes name it */
const imageOf = async (version: string, report: Report): Promise<string> => {
  const recipe = {
    name: 'envoy-gateway',
    module: goModule,
    target: `${source}/cmd/envoy-gateway`,
    linkerFlags: '-s -w',
  }
  const [program = ''] = await goPrograms([recipe], report)
  const { registry } = await resolveCluster(process.env, report)
  if (registry === undefined)
    throw new Error('the check needs a cluster of `npm run cluster -- up`: KUBECONFIG names one of somebody else')
  const engine = await findEngine()
  const base = await resolveBase(engine, { log: report })
  const name = `slipway-check-envoy-gateway:${version}`
  const context = await mkdtemp(join(tmpdir(), 'slipway-envoy-gateway-image-'))
  try {
    await copyFile(program, join(context, 'envoy-gateway'))
    const dockerfile = join(import.meta.dirname, 'Dockerfile')
    await engine.build({ dockerfile, context, tag: `localhost/${name}`, buildArgs: { BASE: base.ref } })
  } finally {
    await rm(context, { recursive: true, force: true })
  }
  await engine.push(`localhost/${name}`, `${registry.push}/${name}`, true)
  return `${registry.pull}/${name}`
}

const splitTag = (image: string): readonly string[] => {
  const at = image.lastIndexOf(':')
  return [image.slice(0, at), image.slice(at + 1)]
}
