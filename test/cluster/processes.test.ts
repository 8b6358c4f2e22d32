import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  findMarked,
  isAlive,
  parseRecord,
  parseStat,
  readRecords,
  recordOf,
  startDaemon,
  stopAll,
  stopProcesses,
  whatEnded,
} from './processes.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'slipway-processes-'))
})
afterEach(async () => {
  await stopAll(dir, 0)
  rmSync(dir, { recursive: true, force: true })
})

const sleeper = { name: 'sleeper', command: 'sleep', args: ['300'], diesWithParent: false }

describe('a process record', () => {
  test('names exactly one process: the same pid with another start time is another process', () => {
    const own = recordOf('own', process.pid)
    expect(own && isAlive(own)).toBe(true)
    expect(own && isAlive({ ...own, startTicks: own.startTicks + 1 })).toBe(false)
    expect(own && isAlive({ ...own, bootId: 'before the reboot' })).toBe(false)
  })

  test('of a reused pid is never signalled', async () => {
    const daemon = await startDaemon({ ...sleeper, dir })
    await stopProcesses([{ ...daemon.record, startTicks: daemon.record.startTicks - 1 }], 0)
    expect(isAlive(daemon.record)).toBe(true)
  })

  test('survives being written and read; anything else reads as none', () => {
    const own = recordOf('own', process.pid)
    expect(parseRecord(JSON.stringify(own))).toEqual(own)
    for (const text of ['', '{', 'null', '[]', '{"name":"x","pid":"1","startTicks":1,"bootId":"b"}']) {
      expect(parseRecord(text)).toBeUndefined()
    }
  })
})

describe('/proc/PID/stat', () => {
  const line = (name: string, state: string, threads: number): string =>
    `42 (${name}) ${state} 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 ${threads} 0 98765 1000 2000`

  test('is read after the last parenthesis, whatever the program is called', () => {
    for (const name of ['etcd', 'a b', 'Web Content)', ') Z 1 1']) {
      expect(parseStat(line(name, 'S', 1))).toEqual({ isRunning: true, startTicks: 98765 })
    }
    expect(parseStat('nonsense')).toBeUndefined()
  })

  test('a zombie runs no more, except while other threads of it are still going down', () => {
    expect(parseStat(line('etcd', 'Z', 1))?.isRunning).toBe(false)
    expect(parseStat(line('etcd', 'Z', 3))?.isRunning).toBe(true)
  })
})

describe('a daemon', () => {
  test('is recorded, logs to its file, and is gone after stopAll', async () => {
    const args = ['-c', 'echo it says this; exec sleep 300']
    const daemon = await startDaemon({ ...sleeper, command: 'sh', args, dir })
    expect(readRecords(dir)).toEqual([daemon.record])
    // In the moment of an exec, and this shell makes one, a process has no environment that could be read.
    let marked = false
    for (let round = 0; round < 400 && !(marked && readFileSync(daemon.log, 'utf8') !== ''); round++) {
      marked ||= findMarked(dir).some(({ pid }) => pid === daemon.record.pid)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(marked).toBe(true)
    await stopAll(dir, 2000)
    expect(readFileSync(daemon.log, 'utf8')).toBe('it says this\n')
    expect(isAlive(daemon.record)).toBe(false)
    expect(existsSync(join(dir, 'pids'))).toBe(false)
  })

  test('that ignores SIGTERM, and the child it left, end too when the record is lost', async () => {
    const args = ['-c', 'trap "" TERM; sleep 300 & wait; sleep 300']
    const daemon = await startDaemon({ ...sleeper, command: 'sh', args, dir })
    rmSync(join(dir, 'pids'), { recursive: true })
    await stopAll(dir, 0)
    expect(isAlive(daemon.record)).toBe(false)
    expect(findMarked(dir)).toEqual([])
  })

  test('that belongs to another folder is left alone', async () => {
    const other = mkdtempSync(join(tmpdir(), 'slipway-processes-'))
    const daemon = await startDaemon({ ...sleeper, dir: other })
    await stopAll(dir, 0)
    expect(isAlive(daemon.record)).toBe(true)
    await stopAll(other, 0)
    rmSync(other, { recursive: true })
  })

  test('that cannot be started is named', async () => {
    await expect(startDaemon({ ...sleeper, command: '/no/such/program', dir })).rejects.toThrow(
      /cannot start \/no\/such\/program/,
    )
  })

  test('that ended says how, and what it said last', async () => {
    const daemon = await startDaemon({ ...sleeper, command: 'sh', args: ['-c', 'echo no such disk; exit 3'], dir })
    for (let round = 0; round < 400 && !daemon.ended(); round++) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(daemon.ended()).toBe('exited with code 3')
    expect(whatEnded([daemon])).toBe(`${sleeper.name} exited with code 3. The end of ${daemon.log}:\nno such disk`)
  })
})

test('a record file that is not one does not hide the others', async () => {
  const child = spawn('sleep', ['300'])
  await startDaemon({ ...sleeper, dir })
  writeFileSync(join(dir, 'pids', 'broken.json'), '{"name":')
  expect(readRecords(dir)).toHaveLength(1)
  child.kill('SIGKILL')
})
