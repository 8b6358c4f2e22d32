/** The page about the deviations, from what a run saw. Pure. */
import type { Outcome } from './ask.ts'
import type { Deviation } from './deviations.ts'

/** A case that came out differently. */
export interface Difference {
  readonly name: string
  readonly ours: Outcome
  readonly triton: Outcome
}

export interface Explained {
  readonly deviation: Deviation
  readonly differences: readonly Difference[]
}

/** @param requests how many requests both servers got */
export function page(requests: number, explained: readonly Explained[]): string {
  const rows = explained.map(({ deviation: { when, why }, differences }) => {
    const seen = (pick: (difference: Difference) => Outcome): string =>
      [...new Set(differences.map((difference) => statusOf(pick(difference))))].join(', ')
    return `| ${when} | ${seen(({ ours }) => ours)} | ${seen(({ triton }) => triton)} | ${why} |`
  })
  return [
    '# Beside Triton',
    '',
    'Written by `npm run conformance:triton -- --write`: the same requests, good and bad, to the real Triton 2.51.0 (the',
    'binary of the PyPI package `nvidia-pytriton` 0.7.0) and to our runtime, over REST and gRPC. Good requests are drawn by',
    'a seed and carry every datatype. Compared are the tensors, the class of the status over REST (2xx, 4xx, 5xx), the',
    'status over gRPC, and the shape of errors. That Triton has only its Python backend, so its models are run by the',
    "Python package of ONNX Runtime; front end and protocol are Triton's own.",
    '',
    `Of ${requests} requests all were answered alike but for these deviations, each on purpose. The run fails on any other.`,
    '',
    '| when | our runtime | Triton | why |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
}

function statusOf({ status }: Outcome): string {
  return status === 'none' ? 'no answer' : status
}
