// The ModelDeployment: the object that users write. This schema is the only source of its types and of its CRD;
// fields inside the identity (model, runtime, resources, podTemplate) must never carry a default.
import { Type, type Static } from '@sinclair/typebox'
import { flag, integer, object } from './schema/field.ts'
import { modelSchema } from './schema/model.ts'
import { rollbackSchema, rolloutSchema } from './schema/rollout.ts'
import { podTemplateSchema, resourcesSchema, runtimeSchema } from './schema/runtime.ts'
import { statusSchema } from './schema/status.ts'
import { trafficSchema } from './schema/traffic.ts'
import type { apiVersion, ObjectMeta } from './objectmeta.ts'

export const specSchema = object(
  {
    model: modelSchema,
    runtime: Type.Optional(runtimeSchema),
    replicas: integer({
      description: 'How many pods answer users; 0 stops them; /scale sets it too; default 1.',
      minimum: 0,
      maximum: 10_000,
      default: 1,
    }),
    resources: Type.Optional(resourcesSchema),
    podTemplate: Type.Optional(podTemplateSchema),
    traffic: trafficSchema,
    rollout: rolloutSchema,
    rollback: rollbackSchema,
    revisionHistoryLimit: integer({
      description: 'How many revisions that are not in use are kept for a rollback; default 10.',
      minimum: 0,
      maximum: 100,
      default: 10,
    }),
    suspend: flag({ description: 'True makes the operator leave everything as it is; default false.', default: false }),
  },
  {
    description: 'What to serve and how.',
    rules: [
      {
        rule: "self.rollout.strategy != 'Canary' || self.traffic.mode != 'Direct'",
        message:
          'mode Direct cannot share traffic by weight: set traffic.mode to Router or Gateway, or rollout.strategy to BlueGreen',
      },
      {
        rule: "!has(self.rollout.shadow) || self.traffic.mode != 'Direct'",
        message:
          'mode Direct has no router that could copy requests: set traffic.mode to Router, or remove rollout.shadow',
      },
      {
        rule: "!has(self.rollout.shadow) || self.traffic.mode != 'Gateway'",
        message:
          'mode Gateway has nobody who could compare the answers to copies: set traffic.mode to Router, or remove rollout.shadow',
      },
      {
        rule: "!has(self.traffic.sticky) || self.rollout.strategy == 'Canary'",
        message:
          'only strategy Canary has two sides that a user could flip between: set rollout.strategy to Canary, or remove traffic.sticky',
      },
      {
        rule: "!has(self.resources) || !has(self.resources.limits) || !('nvidia.com/gpu' in self.resources.limits) || (has(self.runtime) && has(self.runtime.device) && self.runtime.device == 'GPU')",
        message:
          'resources.limits asks for a GPU that device CPU would not use: set runtime.device to GPU, or remove the limit',
      },
    ],
  },
)

/** Rules of the whole object; only these may look at metadata.name. */
export const modelDeploymentRules = [
  {
    rule: 'self.metadata.name.size() <= 40',
    fieldPath: '.metadata.name',
    message:
      'metadata.name has at most 40 characters, so that names of children (<name>-<hash>-resolve-<n>) fit in 63: choose a shorter name',
  },
  {
    rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    fieldPath: '.metadata.name',
    message:
      'metadata.name is also the name of a Service: use lower-case letters, digits and -, starting with a letter, without dots',
  },
]

export { statusSchema }

/** The spec as the API server returns it: fields with a default are always there. */
export type ModelDeploymentSpec = Static<typeof specSchema>
export type ModelDeploymentStatus = Static<typeof statusSchema>

export type ModelSpec = ModelDeploymentSpec['model']
export type RuntimeSpec = NonNullable<ModelDeploymentSpec['runtime']>
export type TrafficSpec = ModelDeploymentSpec['traffic']
export type RolloutSpec = ModelDeploymentSpec['rollout']

export type Condition = NonNullable<ModelDeploymentStatus['conditions']>[number]
export type StablePointer = NonNullable<ModelDeploymentStatus['stable']>
export type PreviousPointer = NonNullable<ModelDeploymentStatus['previous']>
export type Candidate = NonNullable<ModelDeploymentStatus['candidate']>
export type Rejection = NonNullable<ModelDeploymentStatus['rejected']>[number]
export type HistoryEntry = NonNullable<ModelDeploymentStatus['history']>[number]

export interface ModelDeployment {
  apiVersion: typeof apiVersion
  kind: 'ModelDeployment'
  metadata: ObjectMeta
  spec: ModelDeploymentSpec
  status?: ModelDeploymentStatus
}
