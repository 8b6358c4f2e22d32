// Load from a pod of the cluster, as its clients see it: started, told what to watch for, stopped, and its record.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Shell } from '../../test/kit/shell.ts'
import type { LoadOptions, Summary } from './client/load.ts'

export type { Failure, LoadOptions, Summary } from './client/load.ts'

/** The pod from which everything is sent. */
export const clientPod = 'client'

export interface RunningLoad {
  /** From now on nobody may be answered by these revisions; resolves when all that was sent before has ended. */
  forbid(revisions: readonly string[]): Promise<void>
  /** Waits for what is under way. */
  stop(): Promise<Summary>
  /** For a load that ends by itself. */
  readonly done: Promise<Summary>
}

/** @returns when it sends */
export const startLoad = async (shell: Shell, namespace: string, options: LoadOptions): Promise<RunningLoad> => {
  const child = shell.start(['exec', '-i', '-n', namespace, clientPod, '--', 'node', '/app/load.mjs', 'load'])
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error('kubectl has no input or no output')
  let complaint = ''
  stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)))
  const replies = createInterface({ input: stdout })[Symbol.asyncIterator]()
  const summary = Promise.withResolvers<Summary>()
  const ended = once(child, 'exit')
  /** Commands are answered in order, and the summary comes last. */
  const waiting: (() => void)[] = []
  const listen = async (): Promise<void> => {
    for await (const line of { [Symbol.asyncIterator]: () => replies }) {
      const said = JSON.parse(line) as { readonly summary?: Summary }
      if (said.summary === undefined) waiting.shift()?.()
      else summary.resolve(said.summary)
    }
    await ended
    summary.reject(new Error(`the load ended without a summary: ${complaint.trim()}`))
  }
  const listening = listen()
  // Whoever asks for the summary hears of it.
  summary.promise.catch(() => {})
  listening.catch((error: unknown) => summary.reject(error))
  const command = async (line: object): Promise<void> => {
    const answered = new Promise<void>((resolve) => void waiting.push(resolve))
    stdin.write(`${JSON.stringify(line)}\n`)
    await Promise.race([answered, summary.promise])
  }
  await command(options)
  return {
    forbid: (revisions) => command({ forbid: revisions }),
    stop: () => {
      stdin.write('{"stop":true}\n')
      return summary.promise
    },
    done: summary.promise,
  }
}
