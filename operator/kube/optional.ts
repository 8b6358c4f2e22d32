// Caches of kinds that a cluster may lack, because somebody else's CRDs bring them: they are asked for now and then, and
// followed from the moment they are served. Until then they count as filled and empty, so that nobody waits for them.
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { exponentialMs, sleep } from './delay.ts'
import { apiVersionOf, type ResourceType } from './resources.ts'

/** What fills one cache; a Reflector. It is run again after it was ended. */
interface Follower {
  readonly store: { readonly synced: boolean; whenSynced(signal?: AbortSignal): Promise<void> }
  run(signal: AbortSignal): Promise<void>
  /** Empties the cache, which counts as not filled until it is followed again. */
  forget(): void
}

export interface OptionalFollowersOptions {
  readonly client: KubeClient
  /** All of one group and version; only together are they of use. */
  readonly types: readonly [ResourceType, ...ResourceType[]]
  /** Called once, when they are first served. They are ended when they are no longer served, and run again when they are. */
  readonly followers: () => readonly Follower[]
  /** Called whenever it turns out that they are served now, with their caches filled, or no longer. */
  readonly onChange: () => void
  readonly log: Logger
  /** How often the API server is asked whether it serves them, in milliseconds. */
  readonly pollMs?: number
}

const defaultPollMs = 15_000
/** How long the API server may take to say what it serves. */
const answerMs = 10_000
/** While nothing is known nobody may begin, so that failures are not waited out for a whole period. */
const growth = { firstMs: 800, maxMs: 10_000 }

export class OptionalFollowers {
  readonly name: string
  readonly store: { readonly synced: boolean; whenSynced(signal?: AbortSignal): Promise<void> }
  readonly #options: OptionalFollowersOptions
  readonly #known = Promise.withResolvers<void>()
  #isKnown = false
  #followers: readonly Follower[] | undefined
  #following: { readonly ended: Promise<unknown>; readonly stop: AbortController } | undefined
  #served = false

  constructor(options: OptionalFollowersOptions) {
    this.#options = options
    this.name = `${apiVersionOf(options.types[0])}, if it is served`
    const isKnown = (): boolean => this.#isKnown
    const known = this.#known.promise
    this.store = {
      get synced() {
        return isKnown()
      },
      whenSynced: async (signal) => {
        const aborted = Promise.withResolvers<never>()
        const onAbort = (): void => aborted.reject(signal?.reason)
        if (signal?.aborted === true) onAbort()
        signal?.addEventListener('abort', onAbort, { once: true })
        await Promise.race([known, aborted.promise]).finally(() => signal?.removeEventListener('abort', onAbort))
      },
    }
  }

  /** The API server serves all of them, and their caches are filled. */
  get served(): boolean {
    return this.#served
  }

  /** Works until the signal aborts, and only ends then. */
  async run(signal: AbortSignal): Promise<void> {
    const { pollMs = defaultPollMs, log } = this.#options
    for (let failures = 0; !signal.aborted;) {
      const startedAt = performance.now()
      let waitMs = pollMs
      try {
        const isDone = await this.#look(signal)
        failures = 0
        // Caches that are not filled yet have been waited for in the look already.
        if (!isDone) waitMs = 0
      } catch (error) {
        // Nothing is known that was not known before; before the first answer nobody may rely on either.
        if (!signal.aborted)
          log.warn(`cannot tell whether ${apiVersionOf(this.#options.types[0])} is served`, { error })
        // The wait began with the try, so that a slow failure adds none.
        const jitteredMs = exponentialMs(failures, growth) * (0.5 + Math.random() / 2)
        waitMs = Math.min(pollMs, Math.max(0, jitteredMs - (performance.now() - startedAt)))
        failures += 1
      }
      await sleep(waitMs, signal)
    }
    await this.#following?.ended
  }

  /** @returns false when the kinds are served and their caches are not filled yet */
  async #look(signal: AbortSignal): Promise<boolean> {
    const { client, types } = this.#options
    const [{ group, version }] = types
    const kinds = await client.servedKinds(group, version, { signal, timeoutMs: answerMs })
    if (!types.every(({ kind }) => kinds.includes(kind))) {
      // First the word, then the caches: whoever is woken by their emptying finds that nothing is served.
      this.#say(false)
      await this.#unfollow()
      return true
    }
    const isFilled = await this.#follow(signal)
    if (isFilled) this.#say(true)
    return isFilled
  }

  /** @returns whether the caches are filled; they may go again while that is waited for, so it is not waited for ever */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const { followers, pollMs = defaultPollMs } = this.#options
    this.#followers ??= followers()
    if (this.#following === undefined) {
      const stop = new AbortController()
      const either = AbortSignal.any([signal, stop.signal])
      this.#following = { stop, ended: Promise.all(this.#followers.map((follower) => follower.run(either))) }
    }
    const patience = AbortSignal.timeout(pollMs)
    try {
      const both = AbortSignal.any([signal, patience])
      await Promise.all(this.#followers.map(({ store }) => store.whenSynced(both)))
      return true
    } catch (error) {
      if (signal.aborted || !patience.aborted) throw error
      return false
    }
  }

  /** What was in the caches went with the kinds; should they come back, nothing of it is there. */
  async #unfollow(): Promise<void> {
    if (this.#following === undefined) return
    this.#following.stop.abort()
    await this.#following.ended
    this.#following = undefined
    for (const follower of this.#followers ?? []) follower.forget()
  }

  #say(served: boolean): void {
    const { types, onChange, log } = this.#options
    const changed = served !== this.#served
    this.#served = served
    this.#isKnown = true
    this.#known.resolve()
    if (!changed) return
    log.info(`${apiVersionOf(types[0])} is ${served ? 'served' : 'no longer served'}`)
    onChange()
  }
}
