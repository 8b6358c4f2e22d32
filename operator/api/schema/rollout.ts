// spec.rollout and spec.rollback: how a change reaches users. What the strategy cannot honour is refused, never ignored.
import { Type } from '@sinclair/typebox'
import { duration, flag, integerOrText, list, object, positiveDuration, text, word } from './field.ts'
import { goldenSchema, shadowSchema, analysisSchema } from './evidence.ts'

const step = object(
  {
    weight: integerOrText({
      description:
        'The share of requests for the candidate: an integer percent from 1 to 100, or a string such as "0.1%" in steps of 0.1%.',
      minimum: 1,
      maximum: 100,
      maxLength: 6,
      pattern: '^(100(\\.0)?|[1-9][0-9]?(\\.[0-9])?|0\\.[1-9])%$',
    }),
    minDuration: Type.Optional(
      duration({ description: 'The least time that the step takes, such as 2m; when unset, 1m.' }),
    ),
    gate: Type.Optional(
      word(['Auto', 'Manual'], {
        description: 'Manual waits for a promote command after the analysis, Auto goes on by itself; when unset, Auto.',
      }),
    ),
  },
  { description: 'One share of users, held until its analysis passes.' },
)

const steps = list(step, {
  description:
    'The shares of users that the candidate gets one after the other, rising, 1 to 20 of them; 100 follows the last by itself; strategy Canary only; when unset, 5, 25 and 50.',
  kind: 'atomic',
  minItems: 1,
  maxItems: 20,
})

const deadlines = object(
  {
    provision: positiveDuration({
      description: 'How long a candidate may make no progress before its pods are ready, such as 15m; default 15m.',
      default: '15m',
    }),
    step: positiveDuration({ description: 'How long one step may take, such as 30m; default 30m.', default: '30m' }),
    total: positiveDuration({
      description: 'How long a rollout may take in all, such as 4h; default 4h.',
      default: '4h',
    }),
  },
  { description: 'How long a rollout may take; default {provision: 15m, step: 30m, total: 4h}.', default: {} },
)

export const rolloutSchema = object(
  {
    strategy: word(['Canary', 'BlueGreen', 'Recreate'], {
      description:
        'Canary moves users by rising shares, BlueGreen moves all at once when every new pod answers, Recreate stops the old pods first; default BlueGreen.',
      default: 'BlueGreen',
    }),
    steps: Type.Optional(steps),
    golden: Type.Optional(goldenSchema),
    shadow: Type.Optional(shadowSchema),
    analysis: Type.Optional(analysisSchema),
    deadlines,
    capacity: word(['Surge', 'Borrow', 'Recreate'], {
      description:
        'Where pods for the candidate come from: Surge adds them, Borrow takes them from stable, Recreate stops stable first; default Surge.',
      default: 'Surge',
    }),
    onInconclusive: word(['Hold', 'Rollback', 'Promote'], {
      description: 'What to do when users are there but the evidence is not enough within the deadline; default Hold.',
      default: 'Hold',
    }),
    onNoTraffic: word(['Proceed', 'Hold'], {
      description: 'What to do when nobody asked either side during a step; default Proceed.',
      default: 'Proceed',
    }),
    onMetricsError: word(['Hold', 'Rollback'], {
      description: 'What to do when the routers cannot be measured; default Hold.',
      default: 'Hold',
    }),
    onStableUnhealthy: word(['PreferHealthy', 'Hold'], {
      description:
        'What to do when stable loses its pods during a rollout: PreferHealthy lets a checked candidate answer, Hold changes nothing; default PreferHealthy.',
      default: 'PreferHealthy',
    }),
    keepPreviousFor: duration({
      description: 'How long the previous revision stays warm after a promotion, 0s for not at all; default 10m.',
      default: '10m',
    }),
    paused: flag({
      description: 'True holds every step forward; a step back still happens; default false.',
      default: false,
    }),
    retryToken: text({
      description: 'Any text; changing it lets a rejected revision be tried again; default empty.',
      maxLength: 128,
      default: '',
    }),
  },
  {
    description: 'How a change reaches users; default {strategy: BlueGreen}.',
    default: {},
    rules: [
      {
        rule: "self.strategy == 'Canary' || !has(self.steps)",
        message: 'steps are used by strategy Canary only: set strategy to Canary, or remove steps',
      },
      {
        rule: "self.strategy != 'Recreate' || !has(self.shadow)",
        message:
          'strategy Recreate never runs two versions at once, so there is nothing to shadow: set strategy to Canary or BlueGreen, or remove shadow',
      },
      {
        rule: "self.strategy == 'Canary' || !has(self.analysis)",
        message:
          'analysis judges shares of users, which only strategy Canary makes: set strategy to Canary, or remove analysis',
      },
    ],
  },
)

export const rollbackSchema = object(
  {
    to: text({
      description:
        'The name or version of a kept revision to go back to; while set, changes of spec.model wait; default empty, which follows spec.model.',
      maxLength: 63,
      default: '',
      pattern: '^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$',
    }),
  },
  { description: 'A way back to a kept revision without changing spec.model; default {to: ""}.', default: {} },
)
