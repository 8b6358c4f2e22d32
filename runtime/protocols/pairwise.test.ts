import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { tensorOf } from '../../test/fixtures/tensors.ts'
import { grpcForms } from '../../test/fixtures/grpcforms.ts'
import { printed, wireForms } from '../../test/fixtures/wireforms.ts'
import { datatypes, tensor, type Tensor } from '../tensor.ts'
import { tensorAlignment } from './binary.ts'
import type { ModelIdentity } from './codec.ts'
import { decode } from './codecs.ts'

/** One to three inputs that share their first dimension, as rows do. Strings need no escapes to be told apart. */
const tensors: fc.Arbitrary<Tensor[]> = fc
  .record({
    rows: fc.integer({ min: 0, max: 3 }),
    scalars: fc.boolean(),
    inner: fc.array(
      fc.record({ datatype: fc.constantFrom(...datatypes), shape: fc.array(fc.nat({ max: 3 }), { maxLength: 2 }) }),
      { minLength: 1, maxLength: 3 },
    ),
  })
  .chain(({ rows, scalars, inner }) =>
    fc.tuple(
      ...inner.map(({ datatype, shape }, index) =>
        tensorOf(`in ${index}`, datatype, scalars ? shape : [rows, ...shape]),
      ),
    ),
  )

/** Whether ONNX Runtime sums it in the same order wherever it came from. */
const isAligned = (made: Tensor): boolean => made.datatype === 'BYTES' || made.data.byteOffset % tensorAlignment === 0

/** Dynamic where the draw says so, so that declared and free dimensions are both met. */
const signatureOf = (made: readonly Tensor[], free: boolean): ModelIdentity => {
  const specs = made.map(({ name, datatype, shape }) => ({ name, datatype, shape: free ? shape.map(() => -1) : shape }))
  return { name: 'm', version: '1', signature: { inputs: specs, outputs: specs } }
}

test('every form reads the same tensors, and every form of answer says them back', () => {
  const forms = [...wireForms, ...grpcForms]
  const met = new Map(forms.map(({ name }) => [name, 0]))
  fc.assert(
    fc.property(tensors, fc.boolean(), (made, free) => {
      const model = signatureOf(made, free)
      for (const form of forms) {
        const message = form.request(made)
        if (message === undefined) continue
        met.set(form.name, (met.get(form.name) ?? 0) + 1)
        const request = decode(message.wire, message.body, model)
        expect({ form: form.name, inputs: request.inputs }).toEqual({ form: form.name, inputs: made })
        expect({ form: form.name, aligned: request.inputs.every(isAligned) }).toEqual({
          form: form.name,
          aligned: true,
        })
        // An answer may be written over the request, whose inputs are views of its body.
        const read = form.read(request.answer(made), made)
        expect({ form: form.name, read }).toEqual({ form: form.name, read: made.map(printed) })
      }
    }),
    { numRuns: 1000 },
  )
  for (const [name, count] of met) expect({ name, often: count > 150 }).toEqual({ name, often: true })
})

test('bytes that are not text are said in binary and, where they can be, in base64', () => {
  const bytes = Uint8Array.of(0xff, 0, 0x80)
  const made = tensor('x', 'BYTES', [1], [bytes])
  const model = signatureOf([made], false)
  const wire = { codec: 'kserve-v1', options: undefined } as const
  for (const body of [
    '{"instances":[{"b64":"/wCA"}]}',
    '{"inputs":[{"b64":"/wCA"}]}',
    '{"instances":[{"x":{"b64":"/wCA"}}]}',
  ]) {
    const request = decode(wire, Uint8Array.from(Buffer.from(body)), model)
    expect(request.inputs).toEqual([made])
    expect(Buffer.from(request.answer([made]).body).toString()).toContain('[{"b64":"/wCA"}]')
  }
})
