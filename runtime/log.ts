/**
 * The log: one JSON line per event on standard output, with Elastic Common Schema names.
 * It must never be called once per request: a line costs more than a small inference. Nor may it fill the memory when
 * nobody reads it: lines that find no room are left out and counted.
 *
 * @see https://www.elastic.co/docs/reference/ecs/ecs-field-reference
 */
import winston from 'winston'
import type { Config } from './config.ts'
import { codeOf, Fault, wordsOf } from './errors.ts'

export type Log = winston.Logger

/** What standard output may hold back for a reader that has stopped, in bytes: some thousand lines. */
const maxUnreadBytes = 2 ** 20

/** Makes the log of one process. `event` names the command that runs. */
export function createLog({ logLevel, modelName, modelVersion, revision }: Config): Log {
  let leftOut = 0
  const ecs = winston.format((info) => {
    if (process.stdout.writableLength > maxUnreadBytes) {
      leftOut += 1
      return false
    }
    const { level, message, ...rest } = info
    const lost = leftOut === 0 ? {} : { 'log.lines_left_out': leftOut }
    leftOut = 0
    return {
      '@timestamp': new Date().toISOString(),
      'log.level': level,
      ...lost,
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
