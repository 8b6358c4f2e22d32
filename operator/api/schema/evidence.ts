// spec.rollout.golden, shadow and analysis: what a candidate must show. Without schema defaults, so that an unset
// section stays unset; the operator resolves the values that the descriptions name.
import { Type } from '@sinclair/typebox'
import { flag, integer, list, object, positiveDuration, text, word } from './field.ts'

export const goldenSchema = object(
  {
    configMap: text({
      description: 'The ConfigMap of this namespace that holds the requests and the expected answers.',
      minLength: 1,
      maxLength: 253,
      pattern: '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$',
    }),
    minCases: Type.Optional(
      integer({
        description: 'How many cases there must be at least, so that an emptied ConfigMap is no pass; when unset, 1.',
        minimum: 1,
        maximum: 10_000,
      }),
    ),
  },
  { description: 'Requests with known answers, asked of new pods before any user; when unset, none.' },
)

export const shadowSchema = object(
  {
    enabled: Type.Optional(
      flag({ description: 'False leaves shadowing out while keeping the section; when unset, true.' }),
    ),
    minPairs: Type.Optional(
      integer({
        description: 'How many pairs of answers must be compared; when unset, 1000.',
        minimum: 1,
        maximum: 10_000_000,
      }),
    ),
    maxDuration: Type.Optional(
      positiveDuration({ description: 'How long shadowing may take, such as 15m; when unset, 15m.' }),
    ),
  },
  {
    description:
      'Copies of real requests, answered by the candidate and compared, while users get the answers of stable; not with mode Direct; when unset, the operator decides.',
  },
)

const ratio = (what: string, unset: string) =>
  text({
    description: `${what}, a decimal string from 1 up, such as "${unset}"; when unset, "${unset}".`,
    maxLength: 9,
    pattern: '^[0-9]{1,4}([.][0-9]{1,4})?$',
    rules: [
      {
        rule: "self.matches('^0*[1-9]')",
        message: `write the tolerated ratio of candidate to stable, 1 or more, such as "${unset}"`,
      },
    ],
  })

const percent = (what: string, unset: string) =>
  text({
    description: `${what}, a percent string from 0.001% to 100%, such as "${unset}"; when unset, "${unset}".`,
    maxLength: 7,
    pattern: '^(100|[0-9]{1,2}([.][0-9]{1,3})?)%$',
    rules: [{ rule: "self.matches('[1-9]')", message: `write a share above zero, such as "${unset}"` }],
  })

export const analysisSchema = object(
  {
    intent: Type.Optional(
      word(['Equivalent', 'Bounded', 'Report'], {
        description:
          'Equivalent expects the same answers, Bounded allows maxDisagreement, Report only records; when unset, Bounded.',
      }),
    ),
    maxErrorRatio: Type.Optional(ratio("How many times stable's error rate the candidate may have", '1.5')),
    errorFloor: Type.Optional(percent('The error rate that is always good enough', '0.5%')),
    maxSlowRatio: Type.Optional(ratio("How many times stable's share of slow answers the candidate may have", '1.2')),
    maxDisagreement: Type.Optional(percent('The share of shadowed answers that may differ', '1%')),
    minSamples: Type.Optional(
      integer({
        description: 'How many requests of the candidate a step must have seen; when unset, 200.',
        minimum: 1,
        maximum: 10_000_000,
      }),
    ),
    alpha: Type.Optional(
      text({
        description:
          'The chance of failing a candidate that is as good as stable, a decimal string above 0 and at most 0.5, such as "0.01"; when unset, "0.01".',
        maxLength: 8,
        pattern: '^0[.][0-9]{1,6}$',
        rules: [
          {
            rule: "self.matches('[1-9]') && self.matches('^0[.]([0-4]|50*$)')",
            message: 'write a chance above 0 and at most 0.5, such as "0.01"',
          },
        ],
      }),
    ),
    dryRun: Type.Optional(
      list(word(['Golden', 'Resources', 'Agreement', 'Errors', 'Latency'], { description: 'The name of a check.' }), {
        description: 'Checks that are recorded and decide nothing; when unset, every check decides.',
        kind: 'set',
        maxItems: 5,
      }),
    ),
  },
  { description: 'How candidate and stable are compared during a canary; when unset, by the values below.' },
)
