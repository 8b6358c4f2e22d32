// The operator's death right after one write of its own: the server has done it, and the answer comes to nobody. A kubelet
// is played, which starts the next one.
import type { OperatorProcess } from '../integration/operator/process.ts'
import type { Asked } from '../proxy/asked.ts'
import { isCounted, type Proxy } from '../proxy/proxy.ts'

/** A write by what it does in the life of an object, and which one of that kind: `patch services (first)`, the second. */
export interface Write {
  readonly what: string
  readonly nth: number
}

/** How many of them there are depends on how pods come, so one life has more than the next. */
export const isOfStatus = ({ what }: Write): boolean => what.includes('/status ')

/** The writes that the proxy has seen done, in order. @param plain takes out of a name what differs from life to life */
export const writesOf = (proxy: Proxy, plain: (name: string) => string): Write[] => {
  const counts = new Map<string, number>()
  return proxy.writes().map((asked) => {
    const what = wordsOf(asked, plain)
    const nth = (counts.get(what) ?? 0) + 1
    counts.set(what, nth)
    return { what, nth }
  })
}

const wordsOf = ({ verb, resource, name = '' }: Asked, plain: (name: string) => string): string =>
  `${verb} ${resource} ${plain(name)}`

export interface Death {
  /** Whether it has come to it. */
  happened(): boolean
  /** The operator that lives now, once it is started. */
  survivor(): Promise<OperatorProcess>
  /** It will not come to it any more. */
  callOff(): void
}

export const dieAfter = (
  { what, nth }: Write,
  plain: (name: string) => string,
  victim: OperatorProcess,
  proxy: Proxy,
  next: () => Promise<OperatorProcess>,
): Death => {
  let survivor: Promise<OperatorProcess> | undefined
  const reborn = async (): Promise<OperatorProcess> => {
    await victim.kill()
    proxy.heal()
    return next()
  }
  const callOff = proxy.play({
    fault: { fault: 'loseAnswer' },
    when: (asked) => isCounted(asked) && wordsOf(asked, plain) === what,
    skip: nth - 1,
    times: 1,
    onPlayed: () => {
      // Whatever else is under way reaches nobody: the process is as good as dead.
      proxy.play({ fault: { fault: 'halfOpen' } })
      survivor = reborn()
      // It is awaited when the life is over.
      survivor.catch(() => {})
    },
  })
  return { happened: () => survivor !== undefined, survivor: async () => (await survivor) ?? victim, callOff }
}
