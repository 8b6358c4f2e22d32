// Daemons that outlive a command, or die with it: started with a record of pid and start time, found again by that
// record or by a mark in their environment. Never signals a pid whose start time differs from the recorded one.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, openSync, closeSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that cannot be confused with a later one of the same pid, not even after a reboot. */
export interface ProcessRecord {
  readonly name: string
  readonly pid: number
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTicks: number
  readonly bootId: string
}

export interface Daemon {
  readonly record: ProcessRecord
  /** The file that holds its stdout and stderr. */
  readonly log: string
  /** Undefined while it runs; then how it ended, in words. */
  readonly ended: () => string | undefined
}

export interface DaemonOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** The folder of the cluster it belongs to: its record goes to `pids/`, its output to `logs/`. */
  readonly dir: string
  /** True: the kernel kills it when the process that started it dies, however that dies. */
  readonly diesWithParent: boolean
  readonly environment?: Readonly<Record<string, string>>
}

/** The environment variable that marks every process of a cluster, and what it starts, with the cluster's folder. */
export const MARK = 'SLIPWAY_CLUSTER_DIR'

/** Starts a daemon and records it. Throws when the program cannot be started at all. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { name, dir } = options
  mkdirSync(join(dir, 'pids'), { recursive: true })
  mkdirSync(join(dir, 'logs'), { recursive: true })
  const log = join(dir, 'logs', `${name}.log`)
  const [command, args] = options.diesWithParent
    ? ['setpriv', ['--pdeathsig', 'KILL', '--', options.command, ...options.args]]
    : [options.command, [...options.args]]
  const output = openSync(log, 'a')
  const child = spawn(command, args, {
    cwd: dir,
    detached: !options.diesWithParent,
    stdio: ['ignore', output, output],
    env: { ...process.env, ...options.environment, [MARK]: dir },
  })
  closeSync(output)
  await started(child, command)
  const record = recordOf(name, child.pid ?? 0)
  if (record) writeFileSync(join(dir, 'pids', `${name}.json`), JSON.stringify(record))
  child.unref()
  return {
    record: record ?? { name, pid: child.pid ?? 0, startTicks: -1, bootId: bootId() },
    log,
    ended: () => {
      if (child.exitCode !== null) return `exited with code ${child.exitCode}`
      return child.signalCode === null ? undefined : `was ended by ${child.signalCode}`
    },
  }
}

/** The record of a process that runs now, or undefined when there is none; one that only waits to be reaped is none. */
export function recordOf(name: string, pid: number): ProcessRecord | undefined {
  const stat = readStat(pid)
  return stat?.isRunning ? { name, pid, startTicks: stat.startTicks, bootId: bootId() } : undefined
}

/** Reads a record back; undefined for text that is not one. */
export function parseRecord(text: string): ProcessRecord | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { name, pid, startTicks, bootId } = value as Partial<ProcessRecord>
  if (typeof name !== 'string' || typeof bootId !== 'string') return undefined
  if (!Number.isInteger(pid) || !Number.isInteger(startTicks)) return undefined
  return { name, pid: Number(pid), startTicks: Number(startTicks), bootId }
}

/** All records kept in a cluster's folder, dead or alive. */
export function readRecords(dir: string): ProcessRecord[] {
  return list(join(dir, 'pids'))
    .map((file) => parseRecord(readText(join(dir, 'pids', file)) ?? ''))
    .filter((record) => record !== undefined)
}

/** True while the very process that was recorded still runs. */
export function isAlive(record: ProcessRecord): boolean {
  const now = recordOf(record.name, record.pid)
  return now?.startTicks === record.startTicks && now.bootId === record.bootId
}

/**
 * Every living process that carries the mark of this cluster's folder: what a lost record would have named. One that
 * sees another root (a container's, a chroot's) means another folder by the same path, and is not ours.
 */
export function findMarked(dir: string): ProcessRecord[] {
  const mark = `${MARK}=${dir}`
  return list('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter(
      (pid) => (readText(`/proc/${pid}/environ`) ?? '').split('\0').includes(mark) && rootOf(pid) === rootOf('self'),
    )
    .map((pid) => recordOf(commandName(pid), Number(pid)))
    .filter((record) => record !== undefined)
}

/** SIGTERM, then SIGKILL after `graceMs`; returns when all are gone. Throws naming those that cannot be ended. */
export async function stopProcesses(records: readonly ProcessRecord[], graceMs: number): Promise<void> {
  const signal = (name: NodeJS.Signals): void => {
    for (const record of records) if (isAlive(record)) kill(record.pid, name)
  }
  signal('SIGTERM')
  if (await allGone(records, graceMs)) return
  signal('SIGKILL')
  if (await allGone(records, 20_000)) return
  const left = records.filter(isAlive).map((record) => `${record.name} (pid ${record.pid})`)
  throw new Error(`still running after SIGKILL: ${left.join(', ')}`)
}

/** Ends everything that a cluster's folder knows or marks as its own, then forgets the records. */
export async function stopAll(dir: string, graceMs: number): Promise<void> {
  await stopProcesses(readRecords(dir).filter(isAlive), graceMs)
  // Twice at most: a daemon that was starting a child while it died leaves a new marked process behind.
  for (let round = 0; round < 3; round++) {
    const strays = findMarked(dir)
    if (strays.length === 0) break
    await stopProcesses(strays, 0)
  }
  rmSync(join(dir, 'pids'), { recursive: true, force: true })
}

/** Why a daemon that should run does not: its name, how it ended and the end of its log. */
export function whatEnded(daemons: readonly Daemon[]): string | undefined {
  const gone = daemons.find((daemon) => daemon.ended() !== undefined)
  return gone && `${gone.record.name} ${gone.ended()}. The end of ${gone.log}:\n${logTail(gone.log)}`
}

/** The last lines of a log, for an error message. */
export function logTail(path: string, lines = 12): string {
  const text = readText(path) ?? ''
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}

/**
 * Parses /proc/PID/stat. The program's name may hold spaces and parentheses, so fields count from the last one. A
 * zombie with more than one thread is still being torn down and holds its ports until that is done.
 */
export function parseStat(text: string): { isRunning: boolean; startTicks: number } | undefined {
  const end = text.lastIndexOf(')')
  if (end < 0) return undefined
  const fields = text
    .slice(end + 1)
    .trim()
    .split(' ')
  const [state, threads, startTicks] = [fields[0] ?? '', Number(fields[17]), Number(fields[19])]
  if (!Number.isInteger(startTicks) || !Number.isInteger(threads)) return undefined
  return { isRunning: !['Z', 'X'].includes(state) || threads > 1, startTicks }
}

function readStat(pid: number): ReturnType<typeof parseStat> {
  const text = readText(`/proc/${pid}/stat`)
  return text === undefined ? undefined : parseStat(text)
}

function commandName(pid: string): string {
  return (readText(`/proc/${pid}/comm`) ?? pid).trim()
}

/** Which folder a process calls `/`. */
function rootOf(pid: string): string | undefined {
  return orGone(() => {
    const { dev, ino } = statSync(`/proc/${pid}/root/`)
    return `${dev}:${ino}`
  })
}

let boot: string | undefined
function bootId(): string {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return boot
}

async function allGone(records: readonly ProcessRecord[], withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs
  for (;;) {
    if (!records.some(isAlive)) return true
    if (performance.now() >= deadline) return false
    await sleep(25)
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It ended between the check and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function started(child: ChildProcess, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(new Error(`cannot start ${command}: ${error.message}`)))
  })
}

/** A process or file that is gone, or that belongs to someone else, reads as undefined. */
function readText(path: string): string | undefined {
  return orGone(() => readFileSync(path, 'utf8'))
}

function list(path: string): string[] {
  return orGone(() => readdirSync(path)) ?? []
}

function orGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
