// status of a ModelDeployment: the operator's write-ahead log. Everything the next step depends on is in here, and
// nothing in here changes while nothing happens.
import { Type } from '@sinclair/typebox'
import { digest, flag, hash, integer, list, long, object, revisionRef, text, timestamp, word } from './field.ts'

const message = (what: string) => text({ description: what, maxLength: 32_768 })
const reason = (what: string) => text({ description: what, maxLength: 128 })
const version = (what: string) => text({ description: what, maxLength: 63 })
const retryToken = text({ description: 'The retryToken of the spec at that time.', maxLength: 128 })

export const candidateStates = [
  'Pending',
  'Provisioning',
  'Validating',
  'Shadowing',
  'Canary',
  'Promoting',
  'Observing',
  'Superseding',
  'RollingBack',
] as const

const rolloutNumber = (what: string) => long({ description: what, minimum: 1 })

const rejectionClasses = ['Evidence', 'Infra', 'Invalid', 'User'] as const

const condition = object(
  {
    type: text({ description: 'What is claimed.', minLength: 1, maxLength: 316 }),
    status: word(['True', 'False', 'Unknown'], { description: 'Whether the claim holds.' }),
    observedGeneration: Type.Optional(
      long({ description: 'The generation of the spec that it is about.', minimum: 0 }),
    ),
    lastTransitionTime: timestamp({ description: 'When status last changed.' }),
    reason: text({
      description: 'Why, in one word.',
      minLength: 1,
      maxLength: 128,
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
    }),
    message: message('Why, in a sentence that says what was found and what to do.'),
  },
  { description: 'One claim about the object.' },
)

const pointer = {
  revision: revisionRef({ description: 'The name of the ModelRevision.' }),
  hash: hash({ description: 'The hash of the revision.' }),
  version: version('The version that people see.'),
  digest: digest({ description: 'The sha256 of the model file.' }),
  image: text({ description: 'The runtime image, by digest.', maxLength: 1024 }),
  promotedAt: timestamp({ description: 'When it became stable.' }),
  rollout: Type.Optional(rolloutNumber('The number of the rollout that made it stable; its Deployment carries it.')),
}

const stable = object(pointer, { description: 'The revision that answers users; unset before the first one.' })

const previous = object(
  { ...pointer, expiresAt: timestamp({ description: 'When its pods go.' }) },
  { description: 'The revision that was stable before and is kept warm; unset when there is none.' },
)

const candidate = object(
  {
    revision: revisionRef({ description: 'The name of the ModelRevision, which may not exist yet.' }),
    hash: hash({ description: 'The hash of the revision.' }),
    version: Type.Optional(version('The version that people see, once it is known.')),
    digest: Type.Optional(digest({ description: 'The sha256 of the model file, once it is known.' })),
    image: Type.Optional(text({ description: 'The runtime image, by digest, once it is known.', maxLength: 1024 })),
    readyReplicas: Type.Optional(
      integer({ description: 'How many of its pods were ready at the last progress.', minimum: 0 }),
    ),
    attempt: integer({
      description: 'How often this revision has been tried, this time included, from 1.',
      minimum: 1,
    }),
    state: word(candidateStates, { description: 'How far it is.' }),
    step: Type.Optional(integer({ description: 'The index of the canary step, from 0.', minimum: 0 })),
    weight: Type.Optional(
      text({ description: 'The share of requests that it gets, for people, such as 5%.', maxLength: 8 }),
    ),
    enteredAt: timestamp({ description: 'When it entered its state.' }),
    deadlineAt: Type.Optional(timestamp({ description: 'When its state must be over.' })),
    progressAt: Type.Optional(timestamp({ description: 'When it last made progress.' })),
    retryAt: Type.Optional(timestamp({ description: 'When the next attempt starts.' })),
    message: Type.Optional(message('What it waits for, in a sentence.')),
    reason: Type.Optional(reason('What it waits for, in one word.')),
    retryToken: Type.Optional(retryToken),
    rollout: Type.Optional(rolloutNumber('The number of this rollout; its Deployment carries it.')),
    substep: Type.Optional(
      word(['Scale', 'Shift', 'Analyse', 'Gate'], {
        description:
          'How far it is within its step: Scale waits for pods, Shift for the routers, Analyse for evidence, Gate for a person.',
      }),
    ),
    stepWeight: Type.Optional(
      integer({
        description: 'The share of requests that its step is about, in thousandths.',
        minimum: 0,
        maximum: 1000,
      }),
    ),
    replicas: Type.Optional(integer({ description: 'How many pods it needs in this step.', minimum: 0 })),
    stableReplicas: Type.Optional(
      integer({
        description:
          'How many pods spec.replicas asked for when the rollout began; stable keeps that many until it is over.',
        minimum: 0,
      }),
    ),
    ackedAt: Type.Optional(timestamp({ description: 'When every router had applied the weights of this step.' })),
    endsBy: Type.Optional(timestamp({ description: 'When the whole rollout must be over.' })),
    stableDownAt: Type.Optional(timestamp({ description: 'Since when stable has had no ready pod.' })),
    back: Type.Optional(
      flag({ description: 'True where it is a step back to the previous revision, whatever the spec says.' }),
    ),
    pausedBy: Type.Optional(
      text({ description: 'Who holds it by a pause command; unset when nobody does.', maxLength: 256 }),
    ),
    outcome: Type.Optional(
      object(
        {
          rejected: flag({ description: 'Whether the revision is remembered as rejected.' }),
          reason: reason('Why, in one word.'),
          message: message('Why, in a sentence with the figures.'),
          class: Type.Optional(
            word(rejectionClasses, { description: 'Whose doing it was; unset where it is not rejected.' }),
          ),
          by: Type.Optional(text({ description: 'Who asked for it, when it was a command.', maxLength: 256 })),
        },
        { description: 'What becomes of it once no router sends it requests; set in RollingBack and Superseding.' },
      ),
    ),
  },
  { description: 'The revision that is being rolled out; unset when there is none.' },
)

const rejection = object(
  {
    hash: hash({ description: 'The hash of the revision.' }),
    revision: revisionRef({ description: 'The name of the ModelRevision, which may never have existed.' }),
    version: Type.Optional(version('The version that people see, if it was known.')),
    attempt: integer({ description: 'The attempt that was rejected, from 1.', minimum: 1 }),
    class: word(rejectionClasses, {
      description: 'Whose doing it was: the evidence, the infrastructure, an invalid model or spec, or a user.',
    }),
    reason: reason('Why, in one word.'),
    message: message('Why, in a sentence with the figures.'),
    retryToken,
    at: timestamp({ description: 'When it was rejected.' }),
    retryAt: Type.Optional(
      timestamp({
        description: 'When it is tried again by itself; unset where the revision itself was at fault, or a person.',
      }),
    ),
    rearmed: Type.Optional(flag({ description: 'True once a retry command has asked for it again.' })),
  },
  { description: 'A revision that is not tried again by itself.' },
)

const weight = object(
  {
    revision: revisionRef({ description: 'The name of the ModelRevision.' }),
    weight: integer({ description: 'Its share of requests in thousandths.', minimum: 0, maximum: 1000 }),
  },
  { description: 'The share of one revision.' },
)

const share = text({
  description: 'A share from 0 to 1, a decimal string.',
  maxLength: 16,
  pattern: '^[0-9]([.][0-9]+)?$',
})

const traffic = object(
  {
    epoch: long({ description: 'The number of this setting; it only rises.', minimum: 0 }),
    port: Type.Optional(
      integer({
        description: 'The port of this object on the routers of its namespace; unset where there are no routers.',
        minimum: 1024,
        maximum: 32_767,
      }),
    ),
    weights: list(weight, {
      description: 'The shares, 1000 thousandths in all.',
      kind: { mapBy: ['revision'] },
      maxItems: 8,
    }),
    mirror: Type.Optional(
      object(
        {
          revision: revisionRef({ description: 'The ModelRevision that gets the copies.' }),
          perMille: integer({
            description: "How many of 1000 of stable's requests are copied.",
            minimum: 0,
            maximum: 1000,
          }),
        },
        { description: 'The requests that are copied to the candidate; unset when none are.' },
      ),
    ),
    routers: Type.Optional(
      object(
        {
          total: integer({ description: 'How many routers there are.', minimum: 0 }),
          acked: integer({ description: 'How many of them have applied this epoch.', minimum: 0 }),
        },
        { description: 'Who has applied this setting; unset where there are no routers.' },
      ),
    ),
    measured: Type.Optional(
      list(
        object(
          {
            revision: revisionRef({ description: 'The name of the ModelRevision.' }),
            share: { ...share, description: 'The share that it really got, from 0 to 1, a decimal string.' },
            low: { ...share, description: 'The lower end of the interval of that share, a decimal string.' },
            high: { ...share, description: 'The upper end of the interval of that share, a decimal string.' },
          },
          { description: 'The measured share of one revision.' },
        ),
        {
          description: 'The shares that the routers counted in this epoch.',
          kind: { mapBy: ['revision'] },
          maxItems: 8,
        },
      ),
    ),
  },
  { description: 'Who is sent how many requests.' },
)

const check = object(
  {
    name: text({ description: 'The name of the check.', minLength: 1, maxLength: 64 }),
    n: long({ description: 'How many samples it has seen.', minimum: 0 }),
    x: long({ description: 'How many events it has counted on the candidate.', minimum: 0 }),
    y: long({ description: 'How many events it has counted on stable.', minimum: 0 }),
    logE: text({
      description: 'The logarithm of the evidence against the candidate, a decimal string.',
      maxLength: 32,
      pattern: '^-?[0-9]+([.][0-9]+)?$',
    }),
    verdict: word(['Pass', 'Fail', 'Inconclusive'], { description: 'What it says so far.' }),
  },
  { description: 'The figures of one check.' },
)

const counted = {
  requests: long({ description: 'How many requests were finished.', minimum: 0 }),
  failures: long({ description: 'How many of them failed.', minimum: 0 }),
  drawn: long({ description: 'How many of them were drawn by weight.', minimum: 0 }),
}

const counter = object(
  {
    boot: text({ description: 'The router pod and the start of its Envoy.', minLength: 1, maxLength: 320 }),
    revision: revisionRef({ description: 'The name of the ModelRevision.' }),
    ...counted,
  },
  { description: 'The counters of one router for one revision.' },
)

const analysis = object(
  {
    attempt: Type.Optional(integer({ description: 'The attempt that the checks belong to, from 1.', minimum: 1 })),
    sinceEpoch: long({ description: 'The traffic epoch since which they are counted.', minimum: 0 }),
    since: Type.Optional(timestamp({ description: 'When the count began.' })),
    calls: Type.Optional(
      list(
        object(
          { revision: revisionRef({ description: 'The name of the ModelRevision.' }), ...counted },
          {
            description: 'What one revision was sent in this epoch.',
          },
        ),
        {
          description: 'What was counted when this was written; routers have counted more since.',
          kind: { mapBy: ['revision'] },
          maxItems: 8,
        },
      ),
    ),
    counters: Type.Optional(
      list(counter, {
        description: "The routers' own counters at that time; what they have grown by since is added.",
        kind: { mapBy: ['boot', 'revision'] },
        maxItems: 256,
      }),
    ),
    checks: Type.Optional(list(check, { description: 'The checks.', kind: { mapBy: ['name'] }, maxItems: 32 })),
  },
  { description: 'The evidence about the candidate, enough to go on from after a crash.' },
)

const lastCommand = object(
  {
    id: text({ description: 'The id that the command carried.', maxLength: 128 }),
    op: text({ description: 'What it asked for.', maxLength: 32 }),
    result: text({ description: 'What became of it, in one word.', maxLength: 64 }),
    message: message('What became of it, in a sentence.'),
    at: timestamp({ description: 'When it was answered.' }),
    earlier: Type.Optional(
      list(text({ description: 'The id of a command.', maxLength: 128 }), {
        description: 'The ids of the commands before it, the newest last; none of them is carried out again.',
        kind: 'set',
        maxItems: 20,
      }),
    ),
  },
  { description: 'The answer to the last command.' },
)

const historyEntry = object(
  {
    at: timestamp({ description: 'When.' }),
    from: text({ description: 'The state before.', maxLength: 32 }),
    to: text({ description: 'The state after.', maxLength: 32 }),
    revision: Type.Optional(revisionRef({ description: 'The ModelRevision that it happened to.' })),
    reason: reason('Why, in one word.'),
    message: message('Why, in a sentence.'),
    by: Type.Optional(text({ description: 'Who asked for it, when it was a command.', maxLength: 256 })),
    epoch: Type.Optional(long({ description: 'The traffic epoch at that time.', minimum: 0 })),
  },
  { description: 'One transition.' },
)

export const statusSchema = object(
  {
    observedGeneration: Type.Optional(
      long({ description: 'The generation of the spec that this status is about.', minimum: 0 }),
    ),
    phase: Type.Optional(
      text({ description: 'The state of the rollout in one word, for people; derived.', maxLength: 32 }),
    ),
    conditions: Type.Optional(
      list(condition, {
        description: 'Claims about the object: Ready, Reconciling, Stalled, Available, TrafficVerified and Paused.',
        kind: { mapBy: ['type'] },
        maxItems: 16,
      }),
    ),
    stable: Type.Optional(stable),
    previous: Type.Optional(previous),
    candidate: Type.Optional(candidate),
    rollouts: Type.Optional(long({ description: 'How many rollouts have begun; it only rises.', minimum: 0 })),
    rejected: Type.Optional(
      list(rejection, {
        description: 'The last 20 revisions that are not tried again by themselves.',
        kind: { mapBy: ['hash'] },
        maxItems: 20,
      }),
    ),
    traffic: Type.Optional(traffic),
    analysis: Type.Optional(analysis),
    lastCommand: Type.Optional(lastCommand),
    history: Type.Optional(
      list(historyEntry, { description: 'The last 20 transitions, the oldest first.', kind: 'atomic', maxItems: 20 }),
    ),
    replicas: Type.Optional(integer({ description: 'How many pods of stable there are.', minimum: 0 })),
    readyReplicas: Type.Optional(integer({ description: 'How many pods of stable are ready.', minimum: 0 })),
    selector: Type.Optional(text({ description: 'The label selector of the pods, for autoscalers.', maxLength: 1024 })),
  },
  { description: 'What the operator has done and found.' },
)
