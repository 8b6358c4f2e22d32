// spec.runtime, spec.resources and spec.podTemplate: how a model is run. Inside the identity: no field here may
// carry a default, since a default added later would be filled into old objects and roll every model.
import { Type } from '@sinclair/typebox'
import { duration, freeForm, integer, integerOrText, map, object, positiveDuration, text, word } from './field.ts'

const batching = object(
  {
    maxSize: Type.Optional(
      integerOrText<'Auto'>({
        description: 'The most requests that one run of the model takes together, 1 to 4096 or Auto; when unset, Auto.',
        minimum: 1,
        maximum: 4096,
        maxLength: 4,
        pattern: '^Auto$',
      }),
    ),
    maxDelay: Type.Optional(
      duration({
        description: 'How long a request may wait for others to share its run, such as 5ms; when unset, 0ms.',
      }),
    ),
  },
  { description: 'How requests share runs of the model; when unset, whatever waits together runs together.' },
)

const queue = object(
  {
    maxRequests: Type.Optional(
      integer({
        description: 'How many requests may wait in one pod before more are refused; when unset, 512.',
        minimum: 1,
        maximum: 1_000_000,
      }),
    ),
    timeout: Type.Optional(
      positiveDuration({
        description: 'How long a request may wait before it is refused, such as 30s; when unset, 30s.',
      }),
    ),
  },
  { description: 'The queue in front of the model in each pod; when unset, 512 requests for at most 30s.' },
)

const responseCache = object(
  {
    maxSize: Type.Optional(
      text({
        description:
          'How much memory each pod may use to keep answers and give them again to requests that are the same byte for byte, such as 64Mi; when unset, none. Only for models that answer the same every time.',
        maxLength: 8,
        pattern: '^[1-9][0-9]{0,3}(Ki|Mi|Gi)$',
      }),
    ),
  },
  { description: 'Answers that are kept in each pod; when unset, none are.' },
)

const warmup = object(
  {
    requests: Type.Optional(
      integer({
        description: 'How many made-up requests a pod runs before it is ready, 0 for none; when unset, 20.',
        minimum: 0,
        maximum: 100_000,
      }),
    ),
  },
  { description: 'What a pod does before it is ready; when unset, 20 requests.' },
)

export const runtimeSchema = object(
  {
    image: Type.Optional(
      text({
        description:
          "The runtime's container image; when unset, or empty, the image of the operator's release, frozen by digest in each revision.",
        maxLength: 512,
        pattern: '^[^[:space:]]*$',
      }),
    ),
    device: Type.Optional(
      word(['CPU', 'GPU'], {
        description: 'Where the model runs; with GPU a pod is ready only when a GPU really runs it; when unset, CPU.',
      }),
    ),
    gpuResource: Type.Optional(
      text({
        description: 'The resource that a GPU is counted by, with device GPU only; when unset, nvidia.com/gpu.',
        minLength: 1,
        maxLength: 253,
        pattern: '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$',
      }),
    ),
    threads: Type.Optional(
      integerOrText<'Auto'>({
        description:
          'How many threads run the model in each pod, 1 to 1024, or Auto for the CPU limit of the pod; when unset, Auto.',
        minimum: 1,
        maximum: 1024,
        maxLength: 4,
        pattern: '^Auto$',
      }),
    ),
    batching: Type.Optional(batching),
    queue: Type.Optional(queue),
    responseCache: Type.Optional(responseCache),
    warmup: Type.Optional(warmup),
  },
  {
    description: 'How the model is run; when unset, every field has the value its description names.',
    rules: [
      {
        rule: "!has(self.gpuResource) || (has(self.device) && self.device == 'GPU')",
        message: 'gpuResource is used with a GPU only: set device to GPU, or remove gpuResource',
      },
    ],
  },
)

const quantity = integerOrText({
  description: 'A Kubernetes quantity, such as 2, 500m or 1Gi.',
  minimum: 0,
  maxLength: 32,
  pattern: '^(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$',
})

const quantities = (description: string) => map(quantity, { description, maxProperties: 32 })

export const resourcesSchema = object(
  {
    limits: Type.Optional(
      quantities('The most that the runtime container may use, by resource; when unset, no limit.'),
    ),
    requests: Type.Optional(
      quantities('What the scheduler sets aside for the runtime container, by resource; when unset, the limits.'),
    ),
  },
  { description: 'What the runtime container of each pod asks for; when unset, nothing.' },
)

export const podTemplateSchema = object(
  {
    metadata: Type.Optional(freeForm({ description: 'Labels and annotations to add to every pod; when unset, none.' })),
    spec: Type.Optional(
      freeForm({
        description: 'Fields of a pod spec to lay over the generated one; lists merge by name; when unset, none.',
      }),
    ),
  },
  {
    description: 'What to lay over the generated pod template; the API server checks the result; when unset, nothing.',
  },
)
