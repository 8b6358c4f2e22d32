// The CRDs of the project, one entry a kind: names, columns and subresources. What is in a kind stands in its schema.
import { customResourceDefinition, type CustomResourceDefinition } from './crd.ts'
import { modelDeploymentRules, specSchema, statusSchema } from './modeldeployment.ts'
import { revisionSpecSchema } from './modelrevision.ts'

const condition = (type: string) => `.status.conditions[?(@.type=="${type}")].status`

export const modelDeploymentCrd: CustomResourceDefinition = customResourceDefinition({
  kind: 'ModelDeployment',
  plural: 'modeldeployments',
  singular: 'modeldeployment',
  shortNames: ['mdep'],
  description: 'A model behind one stable address, and how changes of it reach users.',
  spec: specSchema,
  status: statusSchema,
  rules: modelDeploymentRules,
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.status.selector',
  },
  columns: [
    {
      name: 'VERSION',
      type: 'string',
      jsonPath: '.status.stable.version',
      description: 'The version that answers users.',
    },
    {
      name: 'CANDIDATE',
      type: 'string',
      jsonPath: '.status.candidate.version',
      description: 'The version being rolled out.',
    },
    { name: 'PHASE', type: 'string', jsonPath: '.status.phase', description: 'The state of the rollout.' },
    {
      name: 'WEIGHT',
      type: 'string',
      jsonPath: '.status.candidate.weight',
      description: "The candidate's share of requests.",
    },
    {
      name: 'READY',
      type: 'string',
      jsonPath: condition('Ready'),
      description: 'Whether the latest spec is rolled out.',
    },
    { name: 'AVAILABLE', type: 'string', jsonPath: condition('Available'), description: 'Whether users are answered.' },
    { name: 'AGE', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'How long ago it was created.' },
  ],
})

export const modelRevisionCrd: CustomResourceDefinition = customResourceDefinition({
  kind: 'ModelRevision',
  plural: 'modelrevisions',
  singular: 'modelrevision',
  shortNames: ['mrev'],
  description: 'One immutable version of a ModelDeployment, written by the operator and read by people.',
  spec: revisionSpecSchema,
  columns: [
    {
      name: 'MODELDEPLOYMENT',
      type: 'string',
      jsonPath: '.spec.modelDeployment',
      description: 'What it is a version of.',
    },
    { name: 'VERSION', type: 'string', jsonPath: '.spec.model.version', description: 'The version that people see.' },
    { name: 'DEVICE', type: 'string', jsonPath: '.spec.runtime.device', description: 'Where it runs.' },
    { name: 'BYTES', type: 'integer', jsonPath: '.spec.model.sizeBytes', description: 'The size of the model file.' },
    {
      name: 'DIGEST',
      type: 'string',
      jsonPath: '.spec.model.digest',
      description: 'The sha256 of the model file.',
      priority: 1,
    },
    { name: 'IMAGE', type: 'string', jsonPath: '.spec.runtime.image', description: 'The runtime image.', priority: 1 },
    { name: 'AGE', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'How long ago it was made.' },
  ],
})

export const crds: readonly CustomResourceDefinition[] = [modelDeploymentCrd, modelRevisionCrd]
