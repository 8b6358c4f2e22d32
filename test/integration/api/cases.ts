// One row a rule and a row a bound: what is refused, in which words, and what is accepted in its place.

/** A spec, or a whole object where a rule is about more than the spec. */
export interface Case {
  /** The field that the refusal names; items of lists are written `[]`. */
  readonly field: string
  /** How the refusal begins. */
  readonly says: string
  /** Another field that the bad example is also refused for. */
  readonly also?: string
  readonly bad: Spec
  readonly good: Spec
  /** The object's name, where the case is about it. */
  readonly names?: { readonly bad: string; readonly good: string }
}

type Spec = Readonly<Record<string, unknown>>

const https = 'https://models.example/fraud/v7/model.onnx'
const digest = `sha256:${'0'.repeat(64)}`
const otherDigest = `sha256:${'1'.repeat(64)}`
const model = { uri: https }

const rollout = (rollout: Spec): Spec => ({ model, rollout })
const traffic = (traffic: Spec): Spec => ({ model, traffic })
const runtime = (runtime: Spec): Spec => ({ model, runtime })
const canary = (rollout: Spec): Spec => ({
  model,
  traffic: { mode: 'Router' },
  rollout: { strategy: 'Canary', ...rollout },
})
/** Mode Direct, where the strategy has to be another than the default. */
const direct = (traffic: Spec, rollout: Spec = {}): Spec => ({
  model,
  traffic: { mode: 'Direct', ...traffic },
  rollout: { strategy: 'BlueGreen', ...rollout },
})
const steps = (...weights: unknown[]): Spec => canary({ steps: weights.map((weight) => ({ weight })) })
const uri = (uri: string): Spec => ({ model: { uri } })
const gateway = { parentRefs: [{ name: 'public' }] }

const of = (field: string, says: string, bad: Spec, good: Spec): Case => ({ field, says, bad, good })

/** A field that takes a duration: one without a unit is refused everywhere, zero only where it means nothing. */
const duration = (field: string, spec: (value: string) => Spec, { zero }: { zero: boolean }): Case[] =>
  zero
    ? [of(field, 'write a number with its unit', spec('30'), spec('0ms'))]
    : [
        of(field, 'write a number above zero with its unit', spec('30'), spec('1h30m')),
        of(field, 'write a number above zero with its unit', spec('0s'), spec('500ms')),
      ]

const ofTheName: Case[] = [
  {
    ...of('metadata.name', 'metadata.name has at most 40 characters', { model }, { model }),
    names: { bad: 'a'.repeat(41), good: 'a'.repeat(40) },
  },
  {
    ...of('metadata.name', 'metadata.name is also the name of a Service', { model }, { model }),
    names: { bad: 'fraud.v2', good: 'fraud-v2' },
  },
  {
    ...of('metadata.name', 'metadata.name is also the name of a Service', { model }, { model }),
    names: { bad: '7fraud', good: 'fraud7' },
  },
]

const ofTheModel: Case[] = [
  ...[
    'model.onnx',
    '/model.onnx',
    'ftp://host/model.onnx',
    'HTTPS://host/model.onnx',
    'file:///model.onnx',
    'https://',
  ].map((bad) => of('spec.model.uri', 'start the uri with oci://', uri(bad), uri('http://host/model.onnx'))),
  of('spec.model.uri', 'a uri has no spaces', uri('https://host/my model.onnx'), uri('https://host/my%20model.onnx')),
  of('spec.model.uri', 'a uri has no spaces', uri('https://host/model.onnx#v7'), uri('https://host/model.onnx?v=7')),
  of(
    'spec.model.uri',
    'a uri carries no user',
    uri('https://user:secret@host/model.onnx'),
    uri('https://host/a@b.onnx'),
  ),
  ...[
    'pvc://models',
    'pvc://models/',
    'pvc://Models/m.onnx',
    'pvc://models/../m.onnx',
    'pvc://models/a/./m.onnx',
    'pvc://models/dir/',
  ].map((bad) => of('spec.model.uri', 'write pvc://claim/path', uri(bad), uri('pvc://models.v1/fraud/v..7/m.onnx'))),
  ...['hf://org/repo/m.onnx', 'hf://repo@main/m.onnx', 'hf://org/repo@main', 'hf://org/repo@main/'].map((bad) =>
    of('spec.model.uri', 'write hf://org/repo@revision', uri(bad), uri('hf://org/repo@main/onnx/m.onnx')),
  ),
  ...['oci://registry.example', `oci://registry.example/repo@sha256:12`, 'oci://registry.example/repo@v1'].map((bad) =>
    of(
      'spec.model.uri',
      'write oci://registry/repository',
      uri(bad),
      uri(`oci://registry.example:5000/a/b:v1@${digest}`),
    ),
  ),
  ...['s3://bucket', 's3://bucket/', 'gs://bucket/dir/', 'az://container'].map((bad) =>
    of('spec.model.uri', 'name the bucket or container', uri(bad), uri('s3://bucket/dir/m.onnx')),
  ),
  of(
    'spec.model',
    'digest and the digest in the uri differ',
    { model: { uri: `oci://registry.example/fraud@${digest}`, digest: otherDigest } },
    { model: { uri: `oci://registry.example/fraud@${digest}`, digest } },
  ),
  of(
    'spec.model',
    'a pvc:// model is mounted and needs no credentials',
    { model: { uri: 'pvc://models/m.onnx', credentialsSecret: 'store' } },
    { model: { uri: 's3://models/m.onnx', credentialsSecret: 'store' } },
  ),
]

const ofTheRuntime: Case[] = [
  of(
    'spec.runtime',
    'gpuResource is used with a GPU only',
    runtime({ gpuResource: 'nvidia.com/gpu' }),
    runtime({ device: 'GPU', gpuResource: 'nvidia.com/gpu' }),
  ),
  of(
    'spec',
    'resources.limits asks for a GPU that device CPU would not use',
    { model, resources: { limits: { 'nvidia.com/gpu': 1 } } },
    { model, resources: { limits: { 'nvidia.com/gpu': 1 } }, runtime: { device: 'GPU' } },
  ),
  ...duration('spec.runtime.batching.maxDelay', (maxDelay) => runtime({ batching: { maxDelay } }), { zero: true }),
  ...duration('spec.runtime.queue.timeout', (timeout) => runtime({ queue: { timeout } }), { zero: false }),
]

const ofTheTraffic: Case[] = [
  of(
    'spec.traffic',
    'mode Gateway needs a Gateway',
    traffic({ mode: 'Gateway' }),
    traffic({ mode: 'Gateway', gateway }),
  ),
  of(
    'spec.traffic',
    'traffic.gateway is used in mode Gateway only',
    traffic({ mode: 'Router', gateway }),
    traffic({ mode: 'Gateway', gateway }),
  ),
  of(
    'spec.traffic',
    'mode Gateway cannot keep users on one side',
    { ...canary({}), traffic: { mode: 'Gateway', gateway, sticky: { header: 'x-user-id' } } },
    { ...canary({}), traffic: { mode: 'Router', sticky: { header: 'x-user-id' } } },
  ),
  of(
    'spec',
    'mode Gateway has nobody who could compare the answers to copies',
    { ...canary({ shadow: { minPairs: 10 } }), traffic: { mode: 'Gateway', gateway } },
    { ...canary({ shadow: { minPairs: 10 } }), traffic: { mode: 'Router' } },
  ),
  of(
    'spec.traffic',
    'mode Direct has no proxy that could keep a timeout',
    direct({ timeout: '60s' }),
    traffic({ mode: 'Router', timeout: '60s' }),
  ),
  {
    ...of(
      'spec.traffic',
      'mode Direct has no proxy that could keep users on one side',
      direct({ sticky: { header: 'x-user-id' } }),
      { ...canary({}), traffic: { mode: 'Router', sticky: { header: 'x-user-id' } } },
    ),
    also: 'spec',
  },
  of(
    'spec',
    'only strategy Canary has two sides',
    { ...traffic({ sticky: { header: 'x-user-id' } }), rollout: { strategy: 'BlueGreen' } },
    traffic({ sticky: { header: 'x-user-id' } }),
  ),
  ...duration('spec.traffic.timeout', (timeout) => traffic({ mode: 'Router', timeout }), { zero: false }),
]

const ofTheStrategy: Case[] = [
  of('spec', 'mode Direct cannot share traffic by weight', traffic({ mode: 'Direct' }), direct({})),
  of('spec', 'mode Direct has no router that could copy requests', direct({}, { shadow: { minPairs: 10 } }), {
    model,
    traffic: { mode: 'Router' },
    rollout: { shadow: { minPairs: 10 } },
  }),
  of(
    'spec.rollout',
    'steps are used by strategy Canary only',
    rollout({ strategy: 'BlueGreen', steps: [{ weight: 5 }] }),
    canary({ steps: [{ weight: 5 }] }),
  ),
  of(
    'spec.rollout',
    'strategy Recreate never runs two versions at once',
    { model, traffic: { mode: 'Router' }, rollout: { strategy: 'Recreate', shadow: {} } },
    { model, traffic: { mode: 'Router' }, rollout: { strategy: 'BlueGreen', shadow: {} } },
  ),
  of(
    'spec.rollout',
    'analysis judges shares of users',
    { model, traffic: { mode: 'Router' }, rollout: { strategy: 'BlueGreen', analysis: { minSamples: 10 } } },
    canary({ analysis: { minSamples: 10 } }),
  ),
  of(
    'spec.rollout',
    'strategy Recreate stops the old pods first',
    rollout({ strategy: 'Recreate', capacity: 'Borrow' }),
    rollout({ strategy: 'Recreate', capacity: 'Recreate' }),
  ),
  of(
    'spec.rollout',
    'disagreement is measured on shadowed requests',
    canary({ shadow: { enabled: false }, analysis: { maxDisagreement: '1%' } }),
    canary({ shadow: { enabled: true }, analysis: { maxDisagreement: '1%' } }),
  ),
]

const ofTheSteps: Case[] = [
  ...[
    [5, 5],
    [20, 5],
    [5, '5%'],
    ['5.0%', 5],
    ['0.2%', '0.1%'],
    [9, 10, 9.0],
    ['9.9%', '10%', '9.9%'],
  ].map((bad) =>
    of(
      'spec.rollout.steps',
      'each step has a higher weight',
      steps(...bad),
      steps('0.1%', '0.9%', 1, '9.9%', 10, '99.9%', 100),
    ),
  ),
  ...[0, -1, 101, '0%', '0.0%', '100.1%', '101%', '0.05%', '5.25%', '5', '%', '05%', '-1%', ''].map((bad) =>
    of('spec.rollout.steps[].weight', 'write an integer percent from 1 to 100', steps(bad), steps('0.1%')),
  ),
  ...duration('spec.rollout.steps[].minDuration', (minDuration) => canary({ steps: [{ weight: 5, minDuration }] }), {
    zero: true,
  }),
]

const ofTheEvidence: Case[] = [
  ...duration('spec.rollout.shadow.maxDuration', (maxDuration) => canary({ shadow: { maxDuration } }), { zero: false }),
  ...['0.9', '0', '0.0'].flatMap((bad) => [
    of(
      'spec.rollout.analysis.maxErrorRatio',
      'write the tolerated ratio',
      canary({ analysis: { maxErrorRatio: bad } }),
      canary({ analysis: { maxErrorRatio: '1.0' } }),
    ),
    of(
      'spec.rollout.analysis.maxSlowRatio',
      'write the tolerated ratio',
      canary({ analysis: { maxSlowRatio: bad } }),
      canary({ analysis: { maxSlowRatio: '2' } }),
    ),
  ]),
  of(
    'spec.rollout.analysis.errorFloor',
    'write a share above zero',
    canary({ analysis: { errorFloor: '0.00%' } }),
    canary({ analysis: { errorFloor: '0.5%' } }),
  ),
  of(
    'spec.rollout.analysis.maxDisagreement',
    'write a share above zero',
    canary({ analysis: { maxDisagreement: '0%' } }),
    canary({ analysis: { maxDisagreement: '100%' } }),
  ),
  ...['0.00', '0.51', '0.6'].map((bad) =>
    of(
      'spec.rollout.analysis.alpha',
      'write a chance above 0',
      canary({ analysis: { alpha: bad } }),
      canary({ analysis: { alpha: '0.5' } }),
    ),
  ),
]

const ofTheDeadlines: Case[] = [
  ...duration('spec.rollout.deadlines.provision', (provision) => rollout({ deadlines: { provision } }), {
    zero: false,
  }),
  ...duration('spec.rollout.deadlines.step', (step) => rollout({ deadlines: { step } }), { zero: false }),
  ...duration('spec.rollout.deadlines.total', (total) => rollout({ deadlines: { total } }), { zero: false }),
  ...duration('spec.rollout.keepPreviousFor', (keepPreviousFor) => rollout({ keepPreviousFor }), { zero: true }),
]

/** Every CEL rule of a ModelDeployment has a row; a test fails when one has not. */
export const ruleCases: readonly Case[] = [
  ...ofTheName,
  ...ofTheModel,
  ...ofTheRuntime,
  ...ofTheTraffic,
  ...ofTheStrategy,
  ...ofTheSteps,
  ...ofTheEvidence,
  ...ofTheDeadlines,
]

/** What the schema's own bounds refuse, in the server's words. */
export const boundCases: readonly Case[] = [
  of('spec.model', 'Required value', {}, { model }),
  of('spec.model.uri', 'Required value', { model: {} }, { model }),
  of(
    'spec.model.digest',
    'Invalid value',
    { model: { ...model, digest: 'sha256:12' } },
    { model: { ...model, digest } },
  ),
  of(
    'spec.model.name',
    'Invalid value',
    { model: { ...model, name: 'fraud/v7' } },
    { model: { ...model, name: 'fraud_v7' } },
  ),
  of(
    'spec.model.version',
    'Invalid value',
    { model: { ...model, version: '/v7' } },
    { model: { ...model, version: '1.2.3-rc.1' } },
  ),
  of(
    'spec.model.contract',
    'Unsupported value',
    { model: { ...model, contract: 'compatible' } },
    { model: { ...model, contract: 'Any' } },
  ),
  of('spec.replicas', 'Invalid value', { model, replicas: -1 }, { model, replicas: 0 }),
  of('spec.replicas', 'Invalid value', { model, replicas: 1.5 }, { model, replicas: 2 }),
  of('spec.runtime.device', 'Unsupported value', runtime({ device: 'CUDA' }), runtime({ device: 'GPU' })),
  of('spec.runtime.threads', 'Invalid value', runtime({ threads: 'auto' }), runtime({ threads: 'Auto' })),
  of('spec.runtime.threads', 'Invalid value', runtime({ threads: 0 }), runtime({ threads: 1 })),
  of(
    'spec.runtime.queue.maxRequests',
    'Invalid value',
    runtime({ queue: { maxRequests: 0 } }),
    runtime({ queue: { maxRequests: 1 } }),
  ),
  of(
    'spec.runtime.responseCache.maxSize',
    'Invalid value',
    runtime({ responseCache: { maxSize: '64MB' } }),
    runtime({ responseCache: { maxSize: '64Mi' } }),
  ),
  of(
    'spec.resources.limits.memory',
    'Invalid value',
    { model, resources: { limits: { memory: '1 GB' } } },
    { model, resources: { limits: { memory: '1Gi', cpu: 2 }, requests: { cpu: '500m', memory: '1e3' } } },
  ),
  of('spec.traffic.mode', 'Unsupported value', traffic({ mode: 'Mesh' }), traffic({ mode: 'Router' })),
  of(
    'spec.traffic.gateway.parentRefs',
    'Required value',
    traffic({ mode: 'Gateway', gateway: {} }),
    traffic({ mode: 'Gateway', gateway }),
  ),
  of(
    'spec.traffic.gateway.parentRefs',
    'Invalid value',
    traffic({ mode: 'Gateway', gateway: { parentRefs: [] } }),
    traffic({ mode: 'Gateway', gateway }),
  ),
  of(
    'spec.traffic.gateway.hostnames[]',
    'Invalid value',
    traffic({ mode: 'Gateway', gateway: { ...gateway, hostnames: ['https://fraud.example'] } }),
    traffic({ mode: 'Gateway', gateway: { ...gateway, hostnames: ['*.fraud.example'] } }),
  ),
  of(
    'spec.traffic.gateway.hostnames[]',
    'Duplicate value',
    traffic({ mode: 'Gateway', gateway: { ...gateway, hostnames: ['fraud.example', 'fraud.example'] } }),
    traffic({ mode: 'Gateway', gateway: { ...gateway, hostnames: ['fraud.example', 'b.example'] } }),
  ),
  of('spec.rollout.steps', 'Invalid value', canary({ steps: [] }), canary({ steps: [{ weight: 5 }] })),
  of(
    'spec.rollout.steps[].weight',
    'Required value',
    canary({ steps: [{ gate: 'Manual' }] }),
    canary({ steps: [{ weight: 5, gate: 'Manual' }] }),
  ),
  of('spec.rollout.steps[].weight', 'Invalid value', steps(0.5), steps('0.5%')),
  of(
    'spec.rollout.steps',
    'Too many',
    steps(...Array.from({ length: 21 }, (_, i) => i + 1)),
    steps(...Array.from({ length: 20 }, (_, i) => i + 1)),
  ),
  of(
    'spec.rollout.golden.configMap',
    'Required value',
    rollout({ golden: { minCases: 3 } }),
    rollout({ golden: { configMap: 'cases' } }),
  ),
  of(
    'spec.rollout.golden.minCases',
    'Invalid value',
    rollout({ golden: { configMap: 'cases', minCases: 0 } }),
    rollout({ golden: { configMap: 'cases', minCases: 1 } }),
  ),
  of(
    'spec.rollout.shadow.minPairs',
    'Invalid value',
    canary({ shadow: { minPairs: 0 } }),
    canary({ shadow: { minPairs: 1 } }),
  ),
  of(
    'spec.rollout.analysis.maxErrorRatio',
    'Invalid value',
    canary({ analysis: { maxErrorRatio: 1.5 } }),
    canary({ analysis: { maxErrorRatio: '1.5' } }),
  ),
  of(
    'spec.rollout.analysis.errorFloor',
    'Invalid value',
    canary({ analysis: { errorFloor: '0.5' } }),
    canary({ analysis: { errorFloor: '0.5%' } }),
  ),
  of(
    'spec.rollout.analysis.dryRun[]',
    'Unsupported value',
    canary({ analysis: { dryRun: ['Error'] } }),
    canary({ analysis: { dryRun: ['Errors', 'Latency'] } }),
  ),
  of(
    'spec.rollback.to',
    'Invalid value',
    { model, rollback: { to: 'a b' } },
    { model, rollback: { to: 'fraud-0123456789' } },
  ),
  of(
    'spec.revisionHistoryLimit',
    'Invalid value',
    { model, revisionHistoryLimit: 101 },
    { model, revisionHistoryLimit: 0 },
  ),
]
