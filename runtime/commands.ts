/**
 * The commands of the runtime image, from configuration to exit code.
 * The one place that touches the process: its signals, its last words and its end.
 */
import { readCpuLimits, readMemoryLimit } from './cgroup.ts'
import { commands, exitUsage, parseConfig, type Command, type Config } from './config.ts'
import { planThreads } from './engine/threads.ts'
import { Fault, fault, reportOf } from './errors.ts'
import { exitNow } from './exit.ts'
import { createLog, errorFields, type Log } from './log.ts'
import { fetchModel } from './model/fetch.ts'
import { inspectModel } from './model/inspect.ts'
import { failed, succeeded, writeTermination, type TerminationMessage } from './model/termination.ts'
import { verifyFile, type VerifiedFile } from './model/verify.ts'
import { serve } from './serve.ts'
import { readyMessage } from './supervisor.ts'

/** The version of the runtime, as server metadata reports it. */
export const runtimeVersion = '0.1.0'

interface Context {
  readonly config: Config
  readonly log: Log
  /** The program's own file, started again inside each worker. */
  readonly entry: URL
}

/** Runs a command and ends the process, unless it is `serve`, which goes on until a signal. */
export async function main(
  name: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  entry: URL,
): Promise<void> {
  const command = commands.find((known) => known === name)
  if (command === undefined) {
    process.stderr.write(`usage: main <${commands.join('|')}>, but the command is ${name ?? 'missing'}\n`)
    process.exit(exitUsage)
  }
  let config: Config
  try {
    config = parseConfig(environment, command)
  } catch (error) {
    const { message } = reportOf(error)
    process.stderr.write(`${message}\n`)
    const path = environment['SLIPWAY_TERMINATION_LOG'] || '/dev/termination-log'
    writeTermination(path, failed(error), (words) => process.stderr.write(`${words}\n`))
    process.exit(exitUsage)
  }
  const log = createLog(config)
  const context: Context = { config, log, entry }
  const lastWords = (message: TerminationMessage): void =>
    writeTermination(config.terminationLog, message, (words) => void log.warn(words))
  const die = (error: unknown): never => {
    log.error(reportOf(error).message, { 'event.action': `${command} failed`, ...errorFields(error) })
    lastWords(failed(error))
    return exitNow(1)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  try {
    if (command === 'serve') {
      // A server whose supervisor is gone would hold the port against the next one.
      process.on('disconnect', () => exitNow(1))
      await serve(config, { entry, log, signals: process, exit: exitNow, version: runtimeVersion })
      process.send?.(readyMessage)
      return
    }
    // As process 1 of a container, a process without a handler ignores the signal.
    process.on('SIGTERM', () => exitNow(143))
    process.on('SIGINT', () => exitNow(130))
    const message = await finite[command](context)
    lastWords(message)
    log.info(`${command} done`, { 'event.action': command, ...(message.ok ? { 'model.digest': message.digest } : {}) })
    process.exit(0)
  } catch (error) {
    die(error)
  }
}

type Finite = Readonly<Record<Exclude<Command, 'serve'>, (context: Context) => Promise<TerminationMessage>>>

/** The commands that end by themselves. */
const finite: Finite = {
  async fetch(context) {
    const { digest, sizeBytes } = (await present(context)) ?? (await fetchFile(context))
    return succeeded(digest, sizeBytes)
  },
  async resolve(context) {
    const file = (await present(context)) ?? (await fetchFile(context))
    return inspect(context, file)
  },
  async inspect(context) {
    return inspect(context, await verifyFile(context.config.modelFile, context.config.modelDigest))
  },
}

/** The file, when an earlier run of this container fetched it already; only a pinned one can be recognised. */
async function present({ config, log }: Context): Promise<VerifiedFile | undefined> {
  const { modelDigest, modelFile } = config
  if (modelDigest === undefined) return undefined
  try {
    const file = await verifyFile(modelFile, modelDigest)
    log.info('the model file is here already', { 'event.action': 'fetch' })
    return file
  } catch (error) {
    if (error instanceof Fault && (error.code === 'ModelNotFound' || error.code === 'DigestMismatch')) return undefined
    throw error
  }
}

async function fetchFile({ config, log }: Context): Promise<VerifiedFile> {
  const { modelUri: uri, modelFile: file, modelDigest: digest, pvcRoot } = config
  // What does not fit into memory cannot be served: it is refused before it fills the node's disk.
  const maxBytes = config.maxModelBytes ?? readMemoryLimit()
  if (uri === undefined) throw fault('UriInvalid', { uri: '', reason: 'it is empty' })
  const started = performance.now()
  const fetched = await fetchModel({
    uri,
    file,
    digest,
    maxBytes,
    pvcRoot,
    timeoutMs: config.fetchTimeoutMs,
    attempts: config.fetchAttempts,
    onRetry: (reason, attempt) => void log.warn(`try ${attempt} failed: ${reason}`, { 'event.action': 'fetch' }),
  })
  log.info(`fetched ${fetched.sizeBytes} bytes in ${Math.round(performance.now() - started)} ms`, {
    'event.action': 'fetch',
    'model.digest': fetched.digest,
  })
  return fetched
}

async function inspect(
  { config, log, entry }: Context,
  { digest, sizeBytes }: VerifiedFile,
): Promise<TerminationMessage> {
  const [{ intraOpThreads } = { intraOpThreads: 1 }] = planThreads(readCpuLimits(), config.threads)
  const { signature, selfTest } = await inspectModel({
    file: config.modelFile,
    sizeBytes,
    memoryLimit: readMemoryLimit(),
    entry,
    intraOpThreads,
  })
  log.info('the model loads', { 'event.action': 'inspect', 'model.self_test': selfTest })
  return succeeded(digest, sizeBytes, signature)
}
