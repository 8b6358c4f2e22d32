/**
 * A request of the user to test and warm up a model with, where zeros would not do: texts, indices, lengths that the
 * model is particular about. It must be answered: who names one wants to know when it is not.
 */
import { readFile } from 'node:fs/promises'
import { fault, wordsOf } from '../errors.ts'
import { decode } from '../protocols/codecs.ts'
import type { Engine } from './engine.ts'
import type { SelfTest } from './selftest.ts'

/** The text of the file. @throws Fault `WarmupRefused` when it cannot be read */
export async function readSample(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fault('WarmupRefused', { words: wordsOf(error) })
  }
}

/** Runs the model on the request once. @throws Fault `WarmupRefused` when it is no request, or the model refuses it */
export function testOnSample(engine: Engine, sample: string, modelName: string): SelfTest {
  const { signature } = engine
  try {
    const body = Uint8Array.from(Buffer.from(sample))
    const wire = { codec: 'oip-rest', options: { headerLength: undefined } } as const
    const { inputs } = decode(wire, body, { name: modelName, version: '', signature })
    engine.run(
      inputs,
      signature.outputs.map(({ name }) => name),
    )
    return { inputs, note: 'ran on the request in SLIPWAY_WARMUP_FILE' }
  } catch (error) {
    throw fault('WarmupRefused', { words: wordsOf(error) })
  }
}
