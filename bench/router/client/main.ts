// The program of the client's pod. `load` reads what to send from the first line of its input, then commands, each a
// line of JSON and each answered by one; the last line of its output is the summary. `shadow` is a pod that remembers
// who was sent to it. It ends with its input, so that nothing goes on without the one who asked for it.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { startLoad, type Load, type LoadOptions } from './load.ts'

type Command = { readonly forbid: readonly string[] } | { readonly stop: true }

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`)

const load = async (): Promise<void> => {
  let running: Load | undefined
  const obey = async (line: string): Promise<void> => {
    if (running === undefined) {
      running = startLoad(JSON.parse(line) as LoadOptions)
      say({ started: true })
      process.stdout.write(`${JSON.stringify({ summary: await running.done })}\n`, () => process.exit(0))
      return
    }
    const command = JSON.parse(line) as Command
    if ('stop' in command) running.stop()
    else {
      await running.forbid(command.forbid)
      say({ done: true })
    }
  }
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void obey(line))
  lines.on('close', () => running?.stop())
}

/** Health is asked by Envoy and is no copy. */
const healthPath = '/v2/health/ready'

const shadow = (): void => {
  let delayMs = 0
  let seen: string[] = []
  createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://shadow')
    const end = (text = ''): void => void response.end(text)
    request.resume().on('end', () => {
      if (pathname === healthPath) return end()
      // Those who measure ask here, and Envoy never does.
      if (pathname === '/seen') return end(JSON.stringify(seen))
      if (pathname === '/reset') {
        seen = []
        delayMs = Number(searchParams.get('delayMs') ?? 0)
        return end()
      }
      seen.push(String(request.headers['x-request-id']))
      setTimeout(end, delayMs)
    })
  }).listen(8080)
  process.on('SIGTERM', () => process.exit(0))
}

if (process.argv[2] === 'load') await load()
else if (process.argv[2] === 'shadow') shadow()
else {
  // A pod to be at home in: what is sent is sent by others who come in.
  setInterval(() => {}, 2 ** 30)
  process.on('SIGTERM', () => process.exit(0))
}
