// A command line as a person gives it, against the test's API server: what it printed, and how it ended.
import { run } from '../../../cli/program.ts'
import type { Terminal } from '../../../cli/terminal.ts'
import { kubeconfig } from '../kube/server.ts'

export interface Printed {
  readonly code: number
  readonly out: string
  readonly note: string
}

export interface SessionOptions {
  readonly input?: string
  readonly columns?: number
  readonly kubeconfig?: string
  readonly signal?: AbortSignal
  /** Called with everything printed so far, whenever more is. */
  readonly heard?: (out: string) => void
}

/** Runs one command line to its end. */
export const give = async (argv: readonly string[], options: SessionOptions = {}): Promise<Printed> => {
  let [out, note] = ['', '']
  const terminal: Terminal = {
    out: (text) => {
      out += text
      options.heard?.(out)
    },
    note: (text) => {
      note += text
    },
    input: () => Promise.resolve(options.input ?? ''),
    columns: options.columns,
    colours: false,
    env: { KUBECONFIG: options.kubeconfig ?? kubeconfig() },
    signal: options.signal ?? new AbortController().signal,
    now: () => Date.now(),
  }
  const code = await run(argv, terminal)
  return { code, out, note }
}
