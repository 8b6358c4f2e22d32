// spec.rollout and spec.rollback: how a change reaches users. What the strategy cannot honour is refused, never ignored.
import { Type } from '@sinclair/typebox'
import { defaultedObject, duration, flag, integerOrText, list, object, positiveDuration, text, word } from './field.ts'
import { goldenSchema, shadowSchema, analysisSchema } from './evidence.ts'

// The forms of a weight in RE2. Whole percents may be written either way: 5, "5%" or "5.0%".
const weightPattern = '^(100([.]0)?|[1-9][0-9]?([.][0-9])?|0[.][1-9])%$'
const isWeight = (value: string) =>
  `(type(${value}) == int ? ${value} >= 1 && ${value} <= 100 : ${value}.matches('${weightPattern}'))`
const percentOf = (value: string) => `double(type(${value}) == int ? ${value} : ${value}.replace('%', ''))`

const step = object(
  {
    weight: integerOrText({
      description:
        'The share of requests for the candidate: an integer percent from 1 to 100, or a string such as "0.1%" in steps of 0.1%.',
      minimum: 1,
      maximum: 100,
      maxLength: 6,
      pattern: weightPattern,
      rules: [
        {
          rule: isWeight('self'),
          message: 'write an integer percent from 1 to 100, or a string from "0.1%" to "100%" in steps of 0.1%',
        },
      ],
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
  rules: [
    {
      // A list of one list stands in for a variable: the weights are computed once, and the cost stays in budget.
      rule: `!self.all(s, ${isWeight('s.weight')}) || [self.map(s, ${percentOf('s.weight')})].all(w, w.isSorted() && w.all(x, w.exists_one(y, x == y)))`,
      message: 'each step has a higher weight than the one before: sort the steps and remove doubles',
    },
  ],
})

const deadlines = defaultedObject(
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
  { description: 'How long a rollout may take; default {provision: 15m, step: 30m, total: 4h}.' },
)

export const rolloutSchema = defaultedObject(
  {
    strategy: word(['Canary', 'BlueGreen', 'Recreate'], {
      description:
        'Canary moves users by rising shares, BlueGreen moves all at once when every new pod answers, Recreate stops the old pods first; default Canary.',
      default: 'Canary',
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
    description: 'How a change reaches users; default {strategy: Canary}.',
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
      {
        rule: "self.strategy != 'Recreate' || self.capacity != 'Borrow'",
        message:
          'strategy Recreate stops the old pods first and has none to borrow from: set capacity to Surge or Recreate, or strategy to Canary or BlueGreen',
      },
      {
        rule: '!has(self.analysis) || !has(self.analysis.maxDisagreement) || !has(self.shadow) || !has(self.shadow.enabled) || self.shadow.enabled',
        message:
          'disagreement is measured on shadowed requests: set shadow.enabled to true, or remove analysis.maxDisagreement',
      },
    ],
  },
)

export const rollbackSchema = defaultedObject(
  {
    to: text({
      description:
        'The name or version of a kept revision to go back to; while set, changes of spec.model wait; default empty, which follows spec.model.',
      maxLength: 63,
      default: '',
      pattern: '^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$',
    }),
  },
  { description: 'A way back to a kept revision without changing spec.model; default {to: ""}.' },
)
