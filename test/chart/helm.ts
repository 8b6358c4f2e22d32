// Runs helm on the chart of this checkout, and reads what it renders. Talks to no cluster.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { V1DeploymentSpec, V1PodSpec } from '@kubernetes/client-node'
import { loadAll } from 'js-yaml'
import { helmPath } from '../cluster/binaries.ts'

export const chart = join(import.meta.dirname, '..', '..', 'charts', 'slipway')

/** Enough of a Kubernetes object to ask questions about it. */
export interface Rendered {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Record<string, string>
    readonly annotations?: Record<string, string>
  }
  readonly rules?: readonly Rule[]
  readonly spec?: unknown
  readonly data?: Record<string, string>
  readonly subjects?: readonly { readonly kind: string; readonly name: string; readonly namespace: string }[]
}

export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

/** What helm prints. @throws with its standard error when it refuses */
export async function helm(args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(await helmPath(), [...args], { maxBuffer: 64 << 20, timeout: 60_000 })
  return stdout
}

/** `helm template` as text, for release `slipway` in namespace `slipway-system`; settings as after `--set`. */
export async function template(settings: readonly string[] = [], release = 'slipway'): Promise<string> {
  const set = settings.flatMap((setting) => ['--set', setting])
  return helm(['template', release, chart, '--namespace', 'slipway-system', ...set])
}

/** The objects that the chart renders. */
export async function render(settings: readonly string[] = [], release = 'slipway'): Promise<Rendered[]> {
  const objects = loadAll(await template(settings, release)) as (Rendered | null)[]
  return objects.filter((object) => object !== null)
}

/** The pods that an object makes or is. */
export function podSpecs(objects: readonly Rendered[]): { name: string; spec: V1PodSpec }[] {
  return objects.flatMap(({ kind, metadata: { name }, spec }) => {
    if (kind === 'Pod') return [{ name, spec: spec as V1PodSpec }]
    const template = kind === 'Deployment' ? (spec as V1DeploymentSpec).template.spec : undefined
    return template === undefined ? [] : [{ name, spec: template }]
  })
}

/** The one object of a kind and name. @throws when there is none */
export function only(objects: readonly Rendered[], kind: string, name?: string): Rendered {
  const found = objects.filter(
    (object) => object.kind === kind && (name ?? object.metadata.name) === object.metadata.name,
  )
  const [first] = found
  if (first === undefined || found.length > 1) throw new Error(`${found.length} objects of kind ${kind} ${name ?? ''}`)
  return first
}
