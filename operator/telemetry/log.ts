// The log: one JSON line an entry, with the field names of the Elastic Common Schema. Writes to stdout only.
import winston from 'winston'

/** Extra fields of an entry. `error` is unfolded into `error.type`, `error.message` and `error.stack_trace`. */
export type Fields = Readonly<Record<string, unknown>>

/** What code logs through; the only face of the logger that other folders see. */
export interface Logger {
  debug(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
  /** A logger that adds these fields to each entry. */
  child(fields: Fields): Logger
}

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof logLevels)[number]

/** @see https://www.elastic.co/docs/reference/ecs */
const ecsVersion = '8.17.0'

export interface LogOptions {
  readonly level: LogLevel
  /** `service.name` of every entry. */
  readonly service: string
  readonly version?: string
  /** Where lines go; stdout unless given. */
  readonly stream?: NodeJS.WritableStream
}

export const createLogger = ({ level, service, version, stream }: LogOptions): Logger => {
  const transport = stream === undefined ? new winston.transports.Console() : new winston.transports.Stream({ stream })
  const logger = winston.createLogger({ level, transports: [transport], format: ecs })
  return facade(logger, { 'service.name': service, ...(version !== undefined && { 'service.version': version }) })
}

/** A logger that drops everything. */
export const silent: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silent,
}

const facade = (logger: winston.Logger, base: Fields): Logger => {
  const write =
    (level: LogLevel) =>
    (message: string, fields?: Fields): void => {
      // Levels that are off cost nothing but this check: no-op reconciles log at debug.
      if (logger.isLevelEnabled(level)) logger.log({ level, message, fields: { ...base, ...fields } })
    }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => facade(logger, { ...base, ...fields }),
  }
}

const ecs = winston.format.printf(({ level, message, fields }) => {
  const { error, ...rest } = (fields ?? {}) as Record<string, unknown>
  return JSON.stringify({
    '@timestamp': new Date().toISOString(),
    'log.level': level,
    message,
    'ecs.version': ecsVersion,
    ...rest,
    ...(error === undefined ? {} : unfold(error)),
  })
})

const unfold = (error: unknown): Record<string, unknown> =>
  error instanceof Error
    ? { 'error.type': error.name, 'error.message': error.message, 'error.stack_trace': error.stack }
    : { 'error.message': String(error) }
