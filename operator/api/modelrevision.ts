// The ModelRevision: one immutable version of a ModelDeployment, with everything that it resolved to frozen in it.
// People read it; only the operator writes it, once.
import { Type, type Static } from '@sinclair/typebox'
import type { RevisionIntent } from './identity.ts'
import type { apiVersion, ObjectMeta } from './objectmeta.ts'
import {
  digest,
  duration,
  freeForm,
  hash,
  integer,
  integerOrText,
  list,
  long,
  object,
  positiveDuration,
  text,
  word,
} from './schema/field.ts'

const tensors = (description: string) =>
  list(
    object(
      {
        name: text({ description: 'The name of the tensor in the graph.', maxLength: 1024 }),
        datatype: text({
          description: 'Its type in the words of the Open Inference Protocol, such as FP32.',
          maxLength: 16,
        }),
        shape: list(long({ description: 'A length, or -1 where any length goes.', minimum: -1 }), {
          description: 'Its lengths by dimension, -1 where any length goes.',
          kind: 'atomic',
          maxItems: 32,
        }),
      },
      { description: 'One tensor.' },
    ),
    { description, kind: 'atomic', maxItems: 1024 },
  )

const model = object(
  {
    name: text({ description: 'The name in /v2/models/<name>.', minLength: 1, maxLength: 128 }),
    version: text({ description: 'The version that people see.', minLength: 1, maxLength: 63 }),
    uri: text({ description: 'Where the file came from.', minLength: 1, maxLength: 2048 }),
    digest: digest({ description: 'The sha256 of the file.' }),
    sizeBytes: long({ description: 'The size of the file in bytes.', minimum: 0 }),
  },
  { description: 'The model, as it was found.' },
)

const runtime = object(
  {
    image: text({ description: 'The runtime image, by digest.', minLength: 1, maxLength: 1024 }),
    device: word(['CPU', 'GPU'], { description: 'Where the model runs.' }),
    gpuResource: Type.Optional(
      text({ description: 'The resource that a GPU is counted by; unset with CPU.', maxLength: 253 }),
    ),
    threads: integerOrText<'Auto'>({
      description: 'How many threads run the model in each pod, or Auto for the CPU limit of the pod.',
      minimum: 1,
      maximum: 1024,
      maxLength: 4,
      pattern: '^Auto$',
    }),
    batching: Type.Optional(
      object(
        {
          maxSize: integerOrText<'Auto'>({
            description: 'The most requests that one run of the model takes together, or Auto.',
            minimum: 1,
            maximum: 4096,
            maxLength: 4,
            pattern: '^Auto$',
          }),
          maxDelay: duration({ description: 'How long a request may wait for others to share its run.' }),
        },
        { description: 'How requests share runs of the model; unset where the runtime decides.' },
      ),
    ),
    queue: object(
      {
        maxRequests: integer({ description: 'How many requests may wait in one pod.', minimum: 1 }),
        timeout: positiveDuration({ description: 'How long a request may wait before it is refused.' }),
      },
      { description: 'The queue in front of the model in each pod.' },
    ),
    responseCache: Type.Optional(
      object(
        { maxSize: text({ description: 'How much memory each pod may use for answers that it keeps.', maxLength: 8 }) },
        { description: 'Answers that are kept in each pod; unset when none are.' },
      ),
    ),
    warmup: object(
      { requests: integer({ description: 'How many made-up requests a pod runs before it is ready.', minimum: 0 }) },
      { description: 'What a pod does before it is ready.' },
    ),
  },
  { description: 'How the model is run, every value resolved.' },
)

export const revisionSpecSchema = object(
  {
    modelDeployment: text({
      description: 'The name of the ModelDeployment that it belongs to.',
      minLength: 1,
      maxLength: 40,
    }),
    hash: hash({ description: 'The hash of the intent, which the name ends with.' }),
    intent: freeForm<RevisionIntent>({
      description: 'The fields of the ModelDeployment that the hash covers, as the user wrote them.',
    }),
    model,
    contract: object(
      { inputs: tensors('What the model takes.'), outputs: tensors('What the model gives.') },
      { description: "The graph's inputs and outputs." },
    ),
    runtime,
    podTemplate: freeForm<FrozenPodTemplate>({ description: 'The pod template, as it was rendered.' }),
  },
  {
    description: 'What the revision is; it never changes.',
    rules: [
      {
        rule: 'self == oldSelf',
        message: 'a ModelRevision never changes: change the ModelDeployment, which makes a new one',
      },
    ],
  },
)

/** A pod template that goes into a Deployment as it is. */
export interface FrozenPodTemplate {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> }
  readonly spec: Record<string, unknown>
}

export type ModelRevisionSpec = Static<typeof revisionSpecSchema>
export type ModelContract = ModelRevisionSpec['contract']

export interface ModelRevision {
  apiVersion: typeof apiVersion
  kind: 'ModelRevision'
  metadata: ObjectMeta
  spec: ModelRevisionSpec
}
