/**
 * Where our runtime answers differently from Triton, and why. A difference that no row explains is a defect, and so is a
 * row that explains none.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Outcome } from './ask.ts'

export interface Deviation {
  /** What the caller did, for people. */
  readonly when: string
  readonly why: string
  readonly explains: (name: string, ours: Outcome, triton: Outcome) => boolean
}

const named =
  (...names: readonly (string | RegExp)[]) =>
  (name: string): boolean =>
    names.some((known) => (typeof known === 'string' ? known === name : known.test(name)))

const statuses =
  (ours: string, triton: string) =>
  (_: string, mine: Outcome, theirs: Outcome): boolean =>
    mine.status === ours && theirs.status === triton

export const deviations: readonly Deviation[] = [
  {
    when: 'JSON that does not parse, or a member of the wrong type or missing',
    why: 'it is the mistake of the caller; 5xx would count against the model when a rollout is judged',
    explains: statuses('400', '500'),
  },
  {
    when: 'a shape so large that its size overflows (REST)',
    why: 'Triton 2.51 ends with a segmentation fault',
    explains: (_, { status }, theirs) => status === '400' && theirs.status === 'none',
  },
  {
    when: 'an integer or float beyond the range of its datatype',
    why: 'Triton wraps integers around and makes infinities; an answer to another question helps nobody',
    explains: named(/^too large for INT|^too large for UINT/, 'a number beyond FP32'),
  },
  {
    when: 'data for a dimension of 0, or nested in another way than the shape says',
    why: 'shape and data contradict each other, and Triton believes the shape',
    explains: named('a dimension of 0 for data', 'data nested otherwise'),
  },
  {
    when: 'one output asked for twice; a raw tensor that belongs to no input (gRPC)',
    why: 'it is a mistake of the client, which Triton passes over',
    explains: named('an output given twice', 'gRPC: a raw tensor too many'),
  },
  {
    when: 'FP16 in JSON, in a request or an answer',
    why: 'the numbers are read and written exactly; Triton has only binary tensors for FP16',
    explains: (name, { status }, theirs) =>
      name.startsWith('half: OIP JSON') && status === '200' && theirs.status === '400',
  },
  {
    when: 'FP64 in JSON',
    why: "Triton's reader of numbers is off in the last digit for some; here every number is the nearest one",
    explains: (name, ours, theirs) => name.startsWith('m: OIP JSON') && onlyDoublesDiffer(ours, theirs),
  },
  {
    when: '0 or 1 for BOOL in JSON',
    why: 'the specification allows it, and clients in Python send it',
    explains: named('a number for BOOL'),
  },
  {
    when: 'text with U+0000',
    why: "ONNX Runtime's binding for Node would cut it there",
    explains: named('a text with NUL for BYTES'),
  },
  {
    when: 'a byte order mark before the JSON',
    why: 'RFC 8259 forbids senders to add one',
    explains: named('a byte order mark'),
  },
  {
    when: 'parameters of sequences',
    why: 'no model here keeps state; Triton passes over them for such a model',
    explains: named('a sequence'),
  },
  {
    when: 'shared memory',
    why: 'there is none, which is 501 and not 404',
    explains: named('shared memory that nobody registered'),
  },
  {
    when: 'a content encoding that is not read',
    why: '415 is the status that HTTP has for it, not 501',
    explains: named('an unknown content encoding'),
  },
  {
    when: 'a version that is no number, or no model name at all (gRPC)',
    why: 'versions are names here, so it is only not found; a missing name is a broken request',
    explains: named('gRPC: a version that is no number', 'gRPC: an empty message'),
  },
  {
    when: 'bytes that are no message (gRPC)',
    why: 'it is the mistake of the caller, not INTERNAL',
    explains: named('gRPC: bytes that are no message'),
  },
]

function onlyDoublesDiffer({ tensors: ours = [] }: Outcome, { tensors: theirs = [] }: Outcome): boolean {
  const others = (tensors: Outcome['tensors']) => tensors?.filter(({ name }) => name !== 'out_DOUBLE')
  return ours.length > 0 && isDeepStrictEqual(others(ours), others(theirs))
}
