// The objects of a manifest, and what the API server would make of each: a server-side dry run, which stores nothing.
// It never applies anything.
import { readFile } from 'node:fs/promises'
import { loadAll } from 'js-yaml'
import { group } from '../operator/api/objectmeta.ts'
import type { ModelDeployment } from '../operator/api/modeldeployment.ts'
import { isInvalid, StatusError } from '../operator/kube/errors.ts'
import { deployments } from '../operator/kube/resources.ts'
import type { Desired } from '../operator/kube/types.ts'
import { revisionDeployment } from '../operator/modeldeployment/desired/children.ts'
import { renderPodTemplate, reservedLabels } from '../operator/modeldeployment/desired/podtemplate.ts'
import { modelDeployments } from '../operator/modeldeployment/resources.ts'
import type { Cluster } from './cluster.ts'
import { CliError } from './failure.ts'
import type { Terminal } from './terminal.ts'

/** The ModelDeployments of a YAML or JSON file, or of stdin for `-`; other kinds are left out. @throws CliError */
export const readManifest = async (file: string, terminal: Terminal): Promise<Desired[]> => {
  const text = file === '-' ? await terminal.input() : await read(file)
  const found = parse(text, file)
  const ours = found.filter((o) => o.kind === 'ModelDeployment' && o.apiVersion.startsWith(`${group}/`))
  if (ours.length > 0) return ours
  const kinds = found.map((o) => `${o.apiVersion} ${o.kind}`).join(', ')
  throw new CliError(
    'Usage',
    `${nameOf(file)} holds no ModelDeployment of ${group}${kinds === '' ? '' : `; it holds ${kinds}`}.`,
    'Name the file that has it.',
  )
}

const nameOf = (file: string): string => (file === '-' ? 'stdin' : file)

const read = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError('Usage', `${file} cannot be read: ${why}.`, 'Name a file with -f, or - for stdin.')
  }
}

const parse = (text: string, file: string): Desired[] => {
  let documents: unknown[]
  try {
    documents = loadAll(text)
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    throw new CliError('Usage', `${nameOf(file)} is no YAML: ${why}.`, 'Correct that line.')
  }
  return documents.flatMap((document, i) => {
    if (document === null || document === undefined) return []
    if (isNamed(document)) return [document]
    throw new CliError(
      'Usage',
      `Document ${i + 1} of ${nameOf(file)} has no apiVersion, kind and metadata.name.`,
      'Write all three; a List or a generateName is not taken.',
    )
  })
}

const isNamed = (value: unknown): value is Desired => {
  if (typeof value !== 'object' || value === null) return false
  if (!('apiVersion' in value && 'kind' in value && 'metadata' in value)) return false
  const { apiVersion, kind, metadata } = value
  return (
    typeof apiVersion === 'string' &&
    typeof kind === 'string' &&
    typeof metadata === 'object' &&
    metadata !== null &&
    'name' in metadata &&
    typeof metadata.name === 'string'
  )
}

/** What the API server says to an object that would be applied. */
export type Admission =
  { readonly ok: true; readonly object: ModelDeployment } | { readonly ok: false; readonly message: string }

const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

/**
 * The object as it would be stored: defaults filled in, rules checked, fields that the manifest no longer has taken away
 * as `kubectl apply` would, client-side or server-side, whichever was used last.
 */
export const admitted = async (
  { client, namespace }: Cluster,
  desired: Desired,
  live: ModelDeployment | undefined,
): Promise<Admission> => {
  const { metadata } = desired
  const object = { ...desired, metadata: { ...metadata, namespace: metadata.namespace ?? namespace } }
  const before = live?.metadata.annotations?.[lastApplied]
  try {
    if (live === undefined || before === undefined) {
      const fieldManager = live === undefined ? 'kubectl' : applierOf(live)
      return { ok: true, object: await client.apply(modelDeployments, object, { dryRun: true, fieldManager }) }
    }
    const { spec }: { spec?: unknown } = JSON.parse(before)
    const patch = threeWay({ spec }, { spec: object.spec ?? {} })
    const patched = await client.mergePatch(modelDeployments, object.metadata.namespace, metadata.name, patch, {
      dryRun: true,
    })
    return { ok: true, object: patched }
  } catch (error) {
    if (isRefusal(error)) return { ok: false, message: refusalWords(error) }
    throw error
  }
}

/** Who applies it server-side: the manager that owns its spec, kubectl where nobody does. */
const applierOf = ({ metadata }: ModelDeployment): string => {
  const { managedFields = [] } = metadata as { managedFields?: readonly ManagedFields[] }
  return managedFields.find((m) => m.operation === 'Apply' && m.subresource === undefined)?.manager ?? 'kubectl'
}

interface ManagedFields {
  readonly manager?: string
  readonly operation?: string
  readonly subresource?: string
}

/** A JSON merge patch: what is wanted, and null for what was applied before and is not wanted any more. */
export const threeWay = (before: unknown, wanted: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const old = isObject(before) ? before : {}
  const gone = Object.keys(old).filter((key) => !(key in wanted))
  const kept = Object.entries(wanted).map(([key, value]) => [key, isObject(value) ? threeWay(old[key], value) : value])
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...Object.fromEntries(kept) }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether the API server would take the pods: the controller's own dry run. Undefined when it would. */
export const podsRefused = async (
  { client }: Cluster,
  deployment: ModelDeployment,
  revision: string,
): Promise<string | undefined> => {
  const reserved = reservedLabels(deployment)
  if (reserved.length > 0)
    return `spec.podTemplate.metadata.labels sets ${reserved.join(', ')}, which Slipway sets itself.`
  const object = revisionDeployment(deployment, revision, templateOf(deployment, revision), deployment.spec.replicas)
  // A name of its own, and no owner, who may not exist yet: the real Deployment, where there is one, is the operator's.
  const { ownerReferences: _, ...metadata } = { ...object.metadata, name: `${revision}-plan` }
  try {
    await client.create(deployments, { ...object, metadata }, { dryRun: true })
    return undefined
  } catch (error) {
    if (isRefusal(error)) return refusalWords(error)
    throw error
  }
}

/** Validation answers 422; most admission webhooks, 400. A missing right is no refusal of the object. */
const isRefusal = (error: unknown): error is StatusError =>
  isInvalid(error) || (error instanceof StatusError && error.code === 400)

/** The fields and what is wrong with each, where the API server tells them apart. */
const refusalWords = (error: StatusError): string => {
  const causes = error.causes.filter(({ field = '' }) => field !== '' && field !== '<nil>')
  return causes.length === 0
    ? error.message
    : causes.map(({ field = '', message = '' }) => `${field}: ${message}`).join('; ')
}

/** The pods of a revision whose model has not been read yet. */
export const templateOf = (deployment: ModelDeployment, revision: string) =>
  renderPodTemplate(deployment, {
    revision,
    version: 'plan',
    digest: `sha256:${'0'.repeat(64)}`,
    image: deployment.spec.runtime?.image || 'slipway-runtime',
  })
