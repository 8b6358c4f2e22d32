// Every way from one place of a rollout to another, in traffic modes Router and Gateway, with the condition in words.
// The reducer takes no other; docs/rollouts.md is drawn from it.

/** Where a rollout is: the state of the candidate and its substep; Idle and Observing have no candidate. */
export const places = [
  'Idle',
  'Observing',
  'Pending',
  'Provisioning',
  'Validating',
  'Shadowing.Shift',
  'Shadowing.Analyse',
  'Canary.Scale',
  'Canary.Shift',
  'Canary.Analyse',
  'Canary.Gate',
  'Promoting.Scale',
  'Promoting.Shift',
  'Promoting.Analyse',
  'Promoting.Gate',
  'Superseding',
  'RollingBack',
  'Rejected',
] as const
export type Place = (typeof places)[number]

const forwardFromChecks = {
  'Canary.Scale': 'more pods are needed for the first step',
  'Canary.Shift': 'pods are enough: the epoch with the first share is written',
  'Promoting.Scale': 'more pods are needed for everybody',
  'Promoting.Shift': 'pods are enough: the epoch with 100 % is written',
} as const

const backwards = {
  RollingBack: 'a check fails, every pod is lost, a deadline passes, or a person aborts',
  Superseding: 'the spec asks for another revision, or its record is lost while stable is stopped',
} as const

const dropped = {
  Idle: 'the spec asks for another revision; nobody was sent to this one',
  Rejected: 'it cannot work, or a deadline passes; nobody was sent to it',
} as const

const emergency = {
  'Promoting.Shift': 'stable has had no ready pod for a minute, and this one has passed its checks',
} as const

/** From each place to others. A Rejected revision leaves no candidate behind: the rollout is Idle again. */
export const transitions: { readonly [From in Place]?: { readonly [To in Place]?: string } } = {
  Idle: {
    Pending: 'the spec asks for a new revision',
    Provisioning: 'the spec asks for a revision that is kept',
  },
  Observing: {
    Idle: 'keepPreviousFor has passed: the previous revision goes',
    Pending: 'the spec asks for a new revision',
    Provisioning: 'the spec asks for a revision that is kept',
    'Promoting.Scale':
      'the spec goes back to the previous revision, stable fails, or a person steps back; pods are missing',
    'Promoting.Shift': 'the same, and every pod is there: the epoch with 100 % is written',
  },
  Pending: { Provisioning: 'the model is resolved and its ModelRevision written', ...dropped, ...backwards },
  Provisioning: {
    Pending: 'its ModelRevision was deleted',
    Provisioning: 'capacity Recreate: routers stop sending, then stable stops',
    Validating: 'pods are Ready, and there are golden requests',
    'Shadowing.Shift': 'pods are Ready: the epoch with the mirror is written',
    'Canary.Shift': 'pods are Ready: the epoch with the first share is written',
    'Promoting.Shift': 'pods are Ready: the epoch with 100 % is written',
    ...dropped,
    ...backwards,
  },
  Validating: {
    'Shadowing.Shift': 'golden requests pass: the epoch with the mirror is written',
    ...forwardFromChecks,
    ...dropped,
    ...backwards,
  },
  'Shadowing.Shift': { 'Shadowing.Analyse': 'every router has applied the mirror', ...backwards },
  'Shadowing.Analyse': { ...forwardFromChecks, ...backwards },
  'Canary.Scale': {
    'Canary.Shift': 'pods are enough: the epoch with the share is written',
    ...emergency,
    ...dropped,
    ...backwards,
  },
  'Canary.Shift': { 'Canary.Analyse': 'every router has applied the share', ...emergency, ...backwards },
  'Canary.Analyse': {
    'Canary.Gate': 'passed, and the step has a Manual gate; or mode Gateway, where nobody can judge it',
    'Canary.Scale': 'passed: more pods are needed for the next step',
    'Canary.Shift': 'passed: the epoch with the next share is written',
    'Promoting.Scale': 'the last share passed: more pods are needed for everybody',
    'Promoting.Shift': 'the last share passed, or stable has had no ready pod for a minute',
    ...backwards,
  },
  'Canary.Gate': {
    'Canary.Scale': 'a person promotes: more pods are needed for the next step',
    'Canary.Shift': 'a person promotes: the epoch with the next share is written',
    'Promoting.Scale': 'a person promotes the last share: more pods are needed for everybody',
    'Promoting.Shift': 'a person promotes the last share, or stable has had no ready pod for a minute',
    ...backwards,
  },
  'Promoting.Scale': {
    'Promoting.Shift': 'pods are enough: the epoch with 100 % is written',
    ...dropped,
    ...backwards,
  },
  'Promoting.Shift': {
    'Promoting.Analyse': 'every router has applied 100 %, and it is held for a while',
    Observing: 'every router has applied 100 %: stable := candidate',
    Idle: 'the same, and no previous revision is kept',
    ...backwards,
  },
  'Promoting.Analyse': {
    'Promoting.Gate': 'passed, and the step has a Manual gate; or mode Gateway, where nobody can judge it',
    Observing: 'passed: stable := candidate, the old one is kept warm',
    Idle: 'the same, and no previous revision is kept',
    ...backwards,
  },
  'Promoting.Gate': {
    Observing: 'a person promotes: stable := candidate',
    Idle: 'the same, and no previous revision is kept',
    ...backwards,
  },
  Superseding: { Idle: 'every router sends it nothing: dropped without blame' },
  RollingBack: { Rejected: 'every router sends it nothing: remembered, and not tried again by itself' },
}
