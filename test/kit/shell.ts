// How the demo and the e2e tests run kubectl and helm: as a user does, by their command lines.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A command line that failed, with what it printed. */
export class CommandError extends Error {
  readonly stderr: string
  constructor(command: string, stderr: string) {
    super(`${command} failed: ${stderr.trim()}`)
    this.stderr = stderr
  }
}

/** kubectl and helm, bound to one cluster. */
export interface Shell {
  readonly env: NodeJS.ProcessEnv
  /** Runs kubectl to its end and gives what it printed. @throws CommandError */
  kubectl(args: readonly string[], input?: string): Promise<string>
  /** kubectl -o json, parsed. */
  json<T>(args: readonly string[]): Promise<T>
  /** Runs helm to its end and gives what it printed. @throws CommandError */
  helm(args: readonly string[]): Promise<string>
  /** Starts kubectl and leaves it running, its input open; the caller ends it. */
  start(args: readonly string[]): ChildProcess
}

/** @param kubeconfig path of the kubeconfig; kubectl and helm are the paths of the programs */
export const shellFor = (kubeconfig: string, kubectl: string, helm: string): Shell => {
  const env = { ...process.env, KUBECONFIG: kubeconfig }
  const toEnd = async (program: string, args: readonly string[], input?: string): Promise<string> => {
    const child = run(program, [...args], { env, maxBuffer: 64 << 20 })
    child.child.stdin?.end(input ?? '')
    try {
      return (await child).stdout
    } catch (error) {
      const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
      throw new CommandError(`${program.split('/').at(-1) ?? program} ${args.join(' ')}`, stderr)
    }
  }
  return {
    env,
    kubectl: (args, input) => toEnd(kubectl, args, input),
    json: async (args) => JSON.parse(await toEnd(kubectl, [...args, '-o', 'json'])),
    helm: (args) => toEnd(helm, args),
    start: (args) => spawn(kubectl, [...args], { env, stdio: ['pipe', 'pipe', 'pipe'] }),
  }
}
