/**
 * The log: one JSON line per event on standard output, with Elastic Common Schema names.
 * It must never be called once per request: a line costs more than a small inference.
 *
 * @see https://www.elastic.co/docs/reference/ecs/ecs-field-reference
 */
import winston from 'winston'
import type { Config } from './config.ts'
import { codeOf, Fault, wordsOf } from './errors.ts'

export type Log = winston.Logger

/** Makes the log of one process. `event` names the command that runs. */
export function createLog({ logLevel, modelName, modelVersion, revision }: Config): Log {
  const ecs = winston.format((info) => {
    const { level, message, ...rest } = info
    return {
      '@timestamp': new Date().toISOString(),
      'log.level': level,
      ...rest,
      message,
      'ecs.version': '8.11.0',
      'service.name': 'slipway-runtime',
      'service.version': modelVersion,
      'labels.model': modelName,
      'labels.revision': revision,
      level,
    }
  })
  const line = winston.format.printf(({ level: _level, ...fields }) => JSON.stringify(fields))
  return winston.createLogger({
    level: logLevel,
    format: winston.format.combine(ecs(), line),
    transports: [new winston.transports.Console()],
  })
}

/** The ECS fields of an error. */
export function errorFields(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { 'error.message': wordsOf(error) }
  const code = codeOf(error)
  return {
    'error.type': error.name,
    'error.message': error.message,
    ...(code === undefined ? {} : { 'error.code': code }),
    // An expected failure says everything in its message; only a bug needs the place in the code.
    ...(error instanceof Fault || error.stack === undefined ? {} : { 'error.stack_trace': error.stack }),
  }
}
