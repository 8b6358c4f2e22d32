// The body of a watch, line by line, with what is played on each line.
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventFault } from './fault.ts'

/** What a watch sends when its version is too old. */
const gone = JSON.stringify({
  type: 'ERROR',
  object: {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    reason: 'Expired',
    code: 410,
    message: 'too old resource version',
  },
})

/**
 * Copies a watch until it ends, or for as long as its client is there.
 * @param next asked once for each line: what happens to it
 */
export const playLines = async (
  from: Readable,
  to: Writable,
  next: (line: string) => EventFault | undefined,
): Promise<void> => {
  let isSilent = false
  for await (const line of lines(from)) {
    if (isSilent) continue
    const fault = next(line)
    switch (fault?.fault) {
      case 'silence':
        isSilent = true
        continue
      case 'dropEvent':
        continue
      case 'duplicateEvent':
        to.write(`${line}\n${line}\n`)
        continue
      case 'malformEvent':
        to.write(`${line.slice(0, line.length / 2)}\n`)
        continue
      case 'truncateEvent':
        to.end(line.slice(0, line.length / 2))
        return
      case 'goneEvent':
        to.end(`${gone}\n`)
        return
      case 'delayEvent':
        await sleep(fault.ms)
        break
      case undefined:
    }
    to.write(`${line}\n`)
  }
  // A silent connection stays open when the server has long ended the watch.
  if (!isSilent) to.end()
}

async function* lines(from: Readable): AsyncGenerator<string> {
  let rest = ''
  from.setEncoding('utf8')
  for await (const chunk of from as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
}
