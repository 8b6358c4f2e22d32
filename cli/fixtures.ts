// A ModelDeployment in the middle of a canary, as the operator would have written it, for unit tests. Test-only.
import { specOf } from '../operator/api/fixtures.ts'
import { revisionHash, revisionName } from '../operator/api/identity.ts'
import type { ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus } from '../operator/api/modeldeployment.ts'
import type { ModelRevision } from '../operator/api/modelrevision.ts'
import type { Deployment, KubeEvent, Pod } from '../operator/kube/resources.ts'
import { modelRevision } from '../operator/modeldeployment/desired/children.ts'

/** A Thursday noon; every time of the fixtures is near it. */
export const noon = Date.parse('2026-03-05T12:00:00Z')
export const at = (seconds: number): string => new Date(noon + seconds * 1000).toISOString()

export const specFor = (
  model: string,
  rollout: Partial<ModelDeploymentSpec['rollout']> = {},
  rest: Partial<ModelDeploymentSpec> = {},
): ModelDeploymentSpec => {
  const spec = specOf(`https://models.test/${model}.onnx`, { replicas: 4, ...rest })
  return { ...spec, rollout: { ...spec.rollout, ...rollout } }
}

export const canarySteps = [
  { weight: 1, minDuration: '2m' },
  { weight: 5, minDuration: '1m' },
  { weight: 20, minDuration: '1m', gate: 'Manual' as const },
]

export const hashOf = (spec: ModelDeploymentSpec): string => revisionHash(spec)
export const nameOf = (spec: ModelDeploymentSpec): string => revisionName('fraud', revisionHash(spec))

export const objectOf = (
  spec: ModelDeploymentSpec,
  status?: ModelDeploymentStatus,
  generation = 7,
): ModelDeployment => ({
  apiVersion: 'slipway.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: { name: 'fraud', namespace: 'shop', uid: 'uid-1', generation, resourceVersion: '1' },
  spec,
  ...(status && { status }),
})

export const pointerTo = (spec: ModelDeploymentSpec, version: string) => ({
  revision: nameOf(spec),
  hash: hashOf(spec),
  version,
  digest: `sha256:${hashOf(spec).repeat(7).slice(0, 64)}`,
  image: 'runtime@sha256:0',
})

export const stableOf = (spec: ModelDeploymentSpec, version: string) => ({
  ...pointerTo(spec, version),
  promotedAt: at(-3600),
  rollout: 1,
})

/** The ModelRevision of a spec, owned by the fixture's object. */
export const revisionFor = (
  spec: ModelDeploymentSpec,
  version: string,
  contract: ModelRevision['spec']['contract'] = contractV7,
): ModelRevision => ({
  ...modelRevision(objectOf(spec), { ...pointerTo(spec, version), sizeBytes: 1000, contract }),
})

export const contractV7 = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
}

type ConditionWords = readonly [type: string, status: 'True' | 'False' | 'Unknown', reason: string, message: string]

export const conditions = (...words: readonly ConditionWords[]): NonNullable<ModelDeploymentStatus['conditions']> =>
  words.map(([type, status, reason, message]) => ({
    type,
    status,
    reason,
    message,
    lastTransitionTime: at(-60),
    observedGeneration: 7,
  }))

export const specV7 = specFor('v7', { strategy: 'Canary', steps: canarySteps })
export const specV8 = specFor('v8', { strategy: 'Canary', steps: canarySteps })

/** v8 gets 5 % and is being judged; v7 serves the rest. */
export const canary = (): ModelDeployment =>
  objectOf(specV8, {
    observedGeneration: 7,
    phase: 'Canary',
    stable: stableOf(specV7, 'v7'),
    candidate: {
      ...pointerTo(specV8, 'v8'),
      attempt: 1,
      state: 'Canary',
      substep: 'Analyse',
      step: 1,
      stepWeight: 50,
      replicas: 1,
      rollout: 2,
      enteredAt: at(-42),
      deadlineAt: at(1758),
    },
    rollouts: 2,
    traffic: {
      epoch: 12,
      port: 20_000,
      weights: [
        { revision: nameOf(specV7), weight: 950 },
        { revision: nameOf(specV8), weight: 50 },
      ],
      routers: { total: 2, acked: 2 },
      measured: [
        { revision: nameOf(specV7), share: '0.9482', low: '0.9412', high: '0.9545' },
        { revision: nameOf(specV8), share: '0.0518', low: '0.0461', high: '0.0588' },
      ],
    },
    analysis: {
      attempt: 1,
      sinceEpoch: 12,
      calls: [
        { revision: nameOf(specV7), requests: 93_812, failures: 212, drawn: 93_812 },
        { revision: nameOf(specV8), requests: 5123, failures: 1, drawn: 5123 },
      ],
      checks: [{ name: 'errors', n: 5123, x: 1, y: 12, logE: '-0.42', verdict: 'Pass' }],
    },
    conditions: conditions(
      ['Ready', 'False', 'Analysing', 'v8 gets 5% of the requests and is judged for at least 60 s.'],
      ['Reconciling', 'True', 'Analysing', 'v8 gets 5% of the requests and is judged for at least 60 s.'],
      ['Stalled', 'False', 'AsExpected', 'Nothing is wrong.'],
      ['Available', 'True', 'Serving', 'v7 answers.'],
    ),
    history: [
      { at: at(-300), from: 'Idle', to: 'Pending', reason: 'Resolving', message: 'v8 is a new version.' },
      {
        at: at(-42),
        from: 'Canary.Shift',
        to: 'Canary.Analyse',
        reason: 'Analysing',
        message: '2 of 2 routers agree.',
      },
    ],
  })

export const workload = (name: string, ready: number, wanted: number): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'shop' },
  spec: { replicas: wanted, selector: {}, template: {} },
  status: { readyReplicas: ready },
})

export const canaryWorkloads = [workload(nameOf(specV7), 4, 4), workload(nameOf(specV8), 1, 1)]

/** A pod of a revision whose runtime container crashes. */
export const crashingPod = (revision: string, name: string, message: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels: { 'slipway.dev/revision': revision } },
  spec: { containers: [{ name: 'runtime' }] },
  status: {
    containerStatuses: [
      {
        name: 'runtime',
        image: 'runtime',
        imageID: '',
        ready: false,
        restartCount: 2,
        state: { waiting: { reason: 'CrashLoopBackOff' } },
        lastState: { terminated: { exitCode: 3, message } },
      },
    ],
  },
})

export const warning = (kind: string, name: string, reason: string, message: string, count = 1): KubeEvent => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: `${name}.1`, namespace: 'shop' },
  involvedObject: { kind, name },
  type: 'Warning',
  reason,
  message,
  count,
  lastTimestamp: at(-5),
})
