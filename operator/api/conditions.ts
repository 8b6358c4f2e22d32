// The vocabulary of conditions: every type and every reason once, with what it means, whether it needs a person,
// and the fix. Messages, Events, history and docs take their words from here; nothing else may invent a reason.

/** Condition types. `Ready`, `Reconciling` and `Stalled` follow kstatus, so GitOps tools understand them. */
export const conditionTypes = ['Ready', 'Reconciling', 'Stalled', 'Available', 'TrafficVerified', 'Paused'] as const
export type ConditionType = (typeof conditionTypes)[number]

/** Who is to blame for a rejection, in the words of `status.rejected[].class`. */
export type RejectionClass = 'Evidence' | 'Infra' | 'Invalid' | 'User'

interface ReasonEntry {
  /** What the reason says about the object. */
  readonly meaning: string
  /** What a person does about it; empty when nothing is to be done. */
  readonly fix: string
  /** Set where the reason rejects a revision: it is then remembered and not tried again by itself. */
  readonly rejects?: RejectionClass
}

const retry = 'then change spec.rollout.retryToken to try the same spec again'

/** Every reason a condition, an Event or a history entry can carry. */
export const reasons = {
  // Progress
  Resolving: { meaning: 'A Job fetches the model, takes its sha256 and reads its inputs and outputs.', fix: '' },
  Provisioning: { meaning: 'Pods of the new revision are starting; users still get the old one.', fix: '' },
  Promoting: { meaning: 'Every pod of the new revision answers; all users are moving to it.', fix: '' },
  Validating: { meaning: 'The new pods are asked the golden requests; no user gets their answers.', fix: '' },
  Shadowing: { meaning: 'The new pods get copies of real requests; nobody sees their answers.', fix: '' },
  Shifting: { meaning: 'Routers are taking over a new share of requests.', fix: '' },
  Analysing: { meaning: 'Every router applies the share; the answers of the new revision are being judged.', fix: '' },
  StepPassed: { meaning: 'The new revision passed the checks of its step.', fix: '' },
  NoTraffic: {
    meaning: 'Nobody asked either side during the step; spec.rollout.onNoTraffic decides.',
    fix: 'send requests, or set spec.rollout.onNoTraffic to Proceed',
  },
  AwaitingPromotion: {
    meaning: 'The checks of the step have passed, and its gate waits for a person.',
    fix: 'give the command promote, or abort',
  },
  PromotedByHand: { meaning: 'A person let the rollout go on.', fix: '' },
  RollingBack: { meaning: 'Requests are going back to stable; the pods stay until every router says so.', fix: '' },
  SteppedBack: { meaning: 'Users are going back to the previous revision, which is still warm.', fix: '' },
  StableUnhealthy: {
    meaning: 'Stable lost all its pods, and spec.rollout.onStableUnhealthy let the checked candidate answer.',
    fix: '',
  },
  Draining: { meaning: 'Routers stop sending requests, so that the old pods can be stopped first.', fix: '' },
  EpochRaised: { meaning: 'A router knew a later traffic setting than the status; it was numbered anew.', fix: '' },
  Recovered: { meaning: 'The status was lost; what the routers still serve was taken as stable.', fix: '' },
  InvariantBroken: {
    meaning: 'The operator took a step that it must never take; it goes on.',
    fix: 'report it with the history of the object: it is a bug',
  },
  Resumed: { meaning: 'A person let the rollout go on after a pause.', fix: '' },
  Retried: { meaning: 'A person asked for a rejected revision again.', fix: '' },
  RolledOut: { meaning: 'The version that the spec asks for serves all users.', fix: '' },
  Superseded: { meaning: 'The spec changed before this revision reached users.', fix: '' },
  PodsLost: {
    meaning: 'All pods of the new revision went away and none said why, as when a node is drained; it starts over.',
    fix: '',
  },
  PreviousReleased: { meaning: 'The time to keep the previous revision warm has passed.', fix: '' },
  Scaling: { meaning: 'Pods of the serving revision are starting or stopping.', fix: '' },
  Serving: { meaning: 'Users are being answered.', fix: '' },
  AsExpected: { meaning: 'Nothing is under way and nothing is wrong.', fix: '' },
  // Held by a person
  Paused: { meaning: 'spec.rollout.paused holds every step forward.', fix: 'set spec.rollout.paused to false' },
  NotPaused: { meaning: 'Nothing holds the rollout.', fix: '' },
  Suspended: {
    meaning: 'spec.suspend is true; the operator leaves everything as it is.',
    fix: 'set spec.suspend to false',
  },
  // Users
  NoVersionYet: { meaning: 'No version has been rolled out yet.', fix: '' },
  ServiceMissing: { meaning: 'The Service was deleted; the operator makes it again.', fix: '' },
  NoReadyPods: { meaning: 'No pod of the serving revision is ready.', fix: '' },
  ScaledToZero: { meaning: 'spec.replicas is 0.', fix: 'set spec.replicas to at least 1' },
  NotMeasured: {
    meaning: 'Nobody counts: traffic.mode Direct and Gateway have no routers, or no version gets requests yet.',
    fix: '',
  },
  AwaitingRouters: { meaning: 'Not every router has applied the newest shares.', fix: '' },
  TooFewRequests: { meaning: 'Too few requests have come since to tell the shares that were served.', fix: '' },
  Verified: { meaning: 'The shares that users got are those that were asked for.', fix: '' },
  SharesOff: {
    meaning: 'A revision got another share than it was asked to get.',
    fix: 'look at the router pods of the namespace: one of them sends requests by other weights',
    rejects: 'Infra',
  },
  RoutersNotReady: {
    meaning: 'No router of the namespace answers.',
    fix: 'kubectl describe deployment slipway-router',
  },
  RouteNotAccepted: {
    meaning: 'The Gateway has not accepted the newest state of the HTTPRoute or GRPCRoute.',
    fix: 'kubectl describe httproute shows what its controller says',
  },
  // Needs another spec
  NotImplemented: { meaning: 'The spec asks for something this release cannot do.', fix: 'remove the named field' },
  RollbackTargetNotFound: {
    meaning: 'spec.rollback.to names no kept revision, or a version that several have.',
    fix: 'name one of the kept revisions of the message',
  },
  NoPortLeft: {
    meaning: 'Every port of the routers of this namespace is taken by another ModelDeployment.',
    fix: 'use another namespace, or traffic.mode Direct',
  },
  GatewayApiMissing: {
    meaning: 'The cluster has no Gateway API (HTTPRoute, GRPCRoute and Gateway of gateway.networking.k8s.io/v1).',
    fix: 'install the Gateway API 1.1 or later, or use traffic.mode Router',
  },
  GatewayNotFound: {
    meaning: 'spec.traffic.gateway.parentRefs names a Gateway that does not exist.',
    fix: 'create it, or name one that exists',
  },
  NameConflict: {
    meaning: 'An object of a name that Slipway needs belongs to someone else.',
    fix: 'rename one of the two',
  },
  RevisionMissing: { meaning: 'The ModelRevision of the serving version was deleted.', fix: 'apply a new version' },
  // The model
  ModelNotFound: {
    meaning: 'Nothing is at the model URI.',
    fix: `correct spec.model.uri, or publish the file, ${retry}`,
    rejects: 'Invalid',
  },
  ModelForbidden: { meaning: 'The model store refused access.', fix: `give access, ${retry}`, rejects: 'Invalid' },
  ModelUnreachable: {
    meaning: 'The model store did not answer.',
    fix: `make the store answer, ${retry}`,
    rejects: 'Infra',
  },
  DigestMismatch: {
    meaning: 'The file is not the one that was pinned.',
    fix: 'correct spec.model.digest or the file',
    rejects: 'Invalid',
  },
  ModelTooLarge: {
    meaning: 'The model does not fit.',
    fix: 'raise spec.resources.limits.memory, or use a smaller model',
    rejects: 'Invalid',
  },
  ModelInvalid: {
    meaning: 'The file is not a loadable ONNX model.',
    fix: 'export the model again',
    rejects: 'Invalid',
  },
  ModelUnsupported: {
    meaning: 'The model uses a type that the runtime cannot serve.',
    fix: 'export it with other types',
    rejects: 'Invalid',
  },
  UnsupportedUri: {
    meaning: 'The URI names a store that cannot be read.',
    fix: 'use http, https or pvc',
    rejects: 'Invalid',
  },
  ContractIncompatible: {
    meaning: 'Clients of the serving version would break.',
    fix: 'keep inputs and outputs, or set spec.model.contract to Any',
    rejects: 'Invalid',
  },
  // The evidence
  GoldenFailed: {
    meaning: 'The new pods answered golden requests otherwise than expected.',
    fix: 'correct the model or the expected answers',
    rejects: 'Evidence',
  },
  ShadowFailed: {
    meaning: 'Answers to copied requests differed from those of stable.',
    fix: 'correct the model, or allow more with spec.rollout.analysis.maxDisagreement',
    rejects: 'Evidence',
  },
  TooManyErrors: {
    meaning: 'More requests failed on the revision than spec.rollout.analysis.errorFloor allows.',
    fix: 'read the log of its pods and correct the model',
    rejects: 'Evidence',
  },
  Inconclusive: {
    meaning: 'Users were there, but not enough of them to judge the revision within the deadline of its step.',
    fix: `lower spec.rollout.analysis.minSamples, or give the step more time, ${retry}`,
    rejects: 'Evidence',
  },
  // The routers
  MetricsMissing: {
    meaning: 'The routers cannot be measured.',
    fix: `look at the router pods, ${retry}`,
    rejects: 'Infra',
  },
  RoutersNotAcknowledged: {
    meaning: 'A router did not apply a traffic setting in time.',
    fix: `look at the router pods, ${retry}`,
    rejects: 'Infra',
  },
  // A person
  Aborted: {
    meaning: 'A person stopped the rollout.',
    fix: 'when it may go on, give the command retry, or change spec.rollout.retryToken',
    rejects: 'User',
  },
  TakenBack: {
    meaning: 'A person sent users back to the previous revision.',
    fix: 'when it may come again, give the command retry, or change spec.rollout.retryToken',
    rejects: 'User',
  },
  // The pods
  InvalidPodTemplate: {
    meaning: 'The API server refuses the pods that the spec describes.',
    fix: 'correct the named field',
    rejects: 'Invalid',
  },
  ImagePullFailed: {
    meaning: 'The runtime image cannot be pulled.',
    fix: `correct spec.runtime.image, or give the nodes access to it, ${retry}`,
    rejects: 'Infra',
  },
  InsufficientCapacity: {
    meaning:
      'No node has room for the pods, or a quota of the namespace leaves none; they start by themselves when there is.',
    fix: 'add nodes, raise the quota, or lower spec.resources or spec.replicas',
    rejects: 'Infra',
  },
  GpuUnavailable: {
    meaning: 'A GPU was asked for, and the runtime cannot run the model on one.',
    fix: `give spec.runtime.image a CUDA build of the runtime and the nodes a driver, or set spec.runtime.device to CPU, ${retry}`,
    rejects: 'Infra',
  },
  Unschedulable: {
    meaning: 'No node can take the pods, whatever room they have.',
    fix: `lower spec.resources, or add nodes, ${retry}`,
    rejects: 'Infra',
  },
  InsufficientMemory: {
    meaning: 'A container was killed for using more memory than its limit.',
    fix: 'raise spec.resources.limits.memory',
    rejects: 'Evidence',
  },
  PodCrashed: {
    meaning: 'A container keeps exiting.',
    fix: `read its log, mend the cause, ${retry}`,
    rejects: 'Evidence',
  },
  PodRefused: {
    meaning: 'The API server or the kubelet refuses to start the pods.',
    fix: `read the message, mend the cause, ${retry}`,
    rejects: 'Infra',
  },
  WriteRefused: {
    meaning: 'The API server refuses a change that the operator has to make.',
    fix: `read the message: grant the right, raise the quota or correct the admission policy, ${retry}`,
    rejects: 'Infra',
  },
  NotReady: {
    meaning: 'Pods run but do not become ready.',
    fix: `read their log, mend the cause, ${retry}`,
    rejects: 'Infra',
  },
  StorageFull: {
    meaning: 'There is no room on the node for the model file.',
    fix: `free disk space on the node, ${retry}`,
    rejects: 'Infra',
  },
  DeadlineExceeded: {
    meaning: 'The revision made no progress within spec.rollout.deadlines.provision.',
    fix: `mend the cause, ${retry}`,
    rejects: 'Infra',
  },
} as const satisfies Record<string, ReasonEntry>

export type Reason = keyof typeof reasons

/** True when a string (for example a code from a termination message) is a reason of the table. */
export const isReason = (text: string): text is Reason => Object.hasOwn(reasons, text)

/** True when the cause can be mended without another spec: the same one has to be asked for again then. */
export const isTriedByToken = (reason: Reason): boolean => reasons[reason].fix.endsWith(retry)

/** Whose fault a rejection with this reason is; `Infra` where the reason does not reject by itself. */
export const rejectionClass = (reason: Reason): RejectionClass => {
  const entry: ReasonEntry = reasons[reason]
  return entry.rejects ?? 'Infra'
}
