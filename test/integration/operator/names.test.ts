import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { deployments, jobs, services, type ResourceType } from '../../../operator/kube/resources.ts'
import type { KubeObject } from '../../../operator/kube/types.ts'
import { modelRevisions } from '../../../operator/modeldeployment/resources.ts'
import { eventually } from './eventually.ts'
import { conditionOf, openStage, revisionOf, uriOf, type Stage } from './stage.ts'

jest.setTimeout(300_000)

let stage: Stage

beforeAll(async () => {
  stage = await openStage()
  await stage.start()
})

afterAll(async () => stage.close())

const spec = { model: { uri: uriOf('1') } }

interface Foreign {
  readonly type: ResourceType
  /** The name that a ModelDeployment of this name needs. */
  readonly needed: (name: string) => string
  readonly body: object
  /** Its own controller has looked at it and will not touch it any more. */
  readonly isSettled: (object: KubeObject & { readonly status?: Readonly<Record<string, unknown>> }) => boolean
}

const podTemplate = {
  metadata: { labels: { app: 'theirs' } },
  spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'theirs.test/app:1' }] },
}

const foreign: Readonly<Record<string, Foreign>> = {
  service: {
    type: services,
    needed: (name) => name,
    body: { spec: { selector: { app: 'theirs' }, ports: [{ port: 80 }] } },
    isSettled: () => true,
  },
  deployment: {
    type: deployments,
    needed: (name) => revisionOf(name, spec),
    body: {
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: 'theirs' } },
        template: { ...podTemplate, spec: { ...podTemplate.spec, restartPolicy: 'Always' } },
      },
    },
    isSettled: ({ status }) => Array.isArray(status?.['conditions']) && status['conditions'].length === 2,
  },
  job: {
    type: jobs,
    needed: (name) => `${revisionOf(name, spec)}-resolve`,
    body: { spec: { suspend: true, template: podTemplate } },
    isSettled: ({ status }) => Array.isArray(status?.['conditions']),
  },
  revision: {
    type: modelRevisions,
    needed: (name) => revisionOf(name, spec),
    body: {
      spec: {
        modelDeployment: 'theirs',
        hash: '0000000000',
        intent: {},
        model: { name: 'm', version: '1', uri: uriOf('theirs'), digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 1 },
        contract: { inputs: [], outputs: [] },
        runtime: {
          image: 'theirs.test/runtime:1',
          device: 'CPU',
          threads: 1,
          queue: { maxRequests: 1, timeout: '1s' },
          responseCache: { maxSize: '1Mi' },
          warmup: { requests: 0 },
        },
        podTemplate,
      },
    },
    isSettled: () => true,
  },
}

/** Someone else's object of a name that `name` will need. @returns it, when its own controllers are done with it */
const occupy = async (name: string, { type, needed, body, isSettled }: Foreign, labels = {}): Promise<KubeObject> => {
  const apiVersion = type.group === '' ? type.version : `${type.group}/${type.version}`
  const metadata = { name: needed(name), namespace: stage.namespace, labels }
  await stage.client.create(
    type,
    { apiVersion, kind: type.kind, metadata, ...body },
    {
      fieldManager: 'someone-else',
    },
  )
  return eventually(`${type.kind} ${metadata.name} rests`, async () => {
    const object = await stage.client.get(type, stage.namespace, metadata.name)
    return isSettled(object) && object
  })
}

describe('a name that someone else holds', () => {
  test('is never adopted, whatever it names; the object says who is in the way, and goes on when they have gone', async () => {
    const check = async (what: string, labels: Record<string, string>): Promise<void> => {
      const taken = foreign[what]
      if (taken === undefined) throw new Error(`no foreign ${what}`)
      const name = Object.keys(labels).length === 0 ? `plain-${what}` : `labelled-${what}`
      const before = await occupy(name, taken, labels)
      await stage.apply(name, spec)
      const { message } = await stage.says(name, 'Stalled', 'True', 'NameConflict')
      expect(message).toBe(
        `${taken.type.kind} ${taken.needed(name)} exists and belongs to someone else; it is left alone. Delete it, or give this ModelDeployment another name.`,
      )
      await stage.says(name, 'Available', 'False', 'NoVersionYet')
      expect(await stage.client.get(taken.type, stage.namespace, taken.needed(name))).toEqual(before)
      // Events are written in the background, a moment after the status.
      const conflicts = async () => (await stage.events(name)).filter((e) => e.reason === 'NameConflict')
      await eventually(`an Event says that ${what} is taken`, async () => (await conflicts()).length > 0)
      expect((await conflicts()).map((e) => e.message)).toEqual([message])

      await stage.client.delete(taken.type, stage.namespace, taken.needed(name))
      await stage.ready(name)
    }
    const labels = (name: string) => ({
      'app.kubernetes.io/managed-by': 'slipway',
      'app.kubernetes.io/name': 'slipway-runtime',
      'slipway.dev/model-deployment': name,
    })
    await Promise.all(Object.keys(foreign).map((what) => check(what, {})))
    // Labels make nothing ours, even where they bring an object into the operator's cache.
    await Promise.all(Object.keys(foreign).map((what) => check(what, labels(`labelled-${what}`))))
  })

  test('by the next version keeps the serving one as it is', async () => {
    await stage.apply('serving', { model: { uri: uriOf('0') } })
    const { status } = await stage.ready('serving')
    const taken = foreign['deployment']
    if (taken === undefined) throw new Error('no foreign deployment')
    const before = await occupy('serving', taken)
    await stage.apply('serving', spec)
    const { message } = await stage.says('serving', 'Stalled', 'True', 'NameConflict')
    expect(message).toMatch(/belongs to someone else.* keeps serving\.$/)
    const now = await stage.get('serving')
    expect(conditionOf(now, 'Available')?.status).toBe('True')
    expect(now.status?.stable).toEqual(status?.stable)
    expect(await stage.client.get(deployments, stage.namespace, taken.needed('serving'))).toEqual(before)
    // Changing one's mind is a way out too, and needs no waiting.
    await stage.apply('serving', { model: { uri: uriOf('0') } })
    await stage.ready('serving')
  })
})
