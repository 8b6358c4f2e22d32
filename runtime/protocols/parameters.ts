/**
 * The parameters of requests, inputs and outputs, as every form of the Open Inference Protocol has them.
 * Unknown ones are tolerated; one that would change the answer and is not understood must be refused.
 */
import { fault } from '../errors.ts'
import type { Parameter } from './codec.ts'

export type Parameters = Readonly<Record<string, Parameter>>

/** Refuses what this server cannot honour. @param field where the parameters stand, such as `inputs[0].parameters` */
export function checkParameters(field: string, parameters: Parameters): void {
  for (const name of sequences) {
    const value = parameters[name]
    // Clients send the three together, and 0, "" and false mean "no sequence".
    if (value !== undefined && value !== 0 && value !== 0n && value !== '' && value !== false) {
      throw fault('SequenceUnsupported', { where: `${field}.${name}` })
    }
  }
  if (parameters['shared_memory_region'] !== undefined) {
    throw fault('SharedMemoryUnsupported', { where: `${field}.shared_memory_region` })
  }
}

/** A parameter that is a whole number from 0; undefined when it is not given. */
export function wholeParameter(field: string, parameters: Parameters, name: string): number | undefined {
  const value = parameters[name]
  if (value === undefined) return undefined
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw fault('FieldType', { field: `${field}.${name}`, found: String(value), expected: 'a whole number from 0' })
}

/** A parameter that is true or false; undefined when it is not given. */
export function flagParameter(field: string, parameters: Parameters, name: string): boolean | undefined {
  const value = parameters[name]
  if (value === undefined || typeof value === 'boolean') return value
  throw fault('FieldType', {
    field: `${field}.${name}`,
    found: JSON.stringify(String(value)),
    expected: 'true or false',
  })
}

const sequences = ['sequence_id', 'sequence_start', 'sequence_end']
