// Caches of kinds that a cluster may lack, because somebody else's CRDs bring them: they are asked for now and then, and
// followed from the moment they are served. Until then they count as filled and empty, so that nobody waits for them.
import type { Logger } from '../telemetry/log.ts'
import type { KubeClient } from './client.ts'
import { sleep } from './delay.ts'
import { apiVersionOf, type ResourceType } from './resources.ts'

/** What fills one cache; a Reflector. */
interface Follower {
  readonly store: { readonly synced: boolean; whenSynced(signal?: AbortSignal): Promise<void> }
  run(signal: AbortSignal): Promise<void>
}

export interface OptionalFollowersOptions {
  readonly client: KubeClient
  /** All of one group and version; only together are they of use. */
  readonly types: readonly [ResourceType, ...ResourceType[]]
  /** Called once, when they are first served. */
  readonly followers: () => readonly Follower[]
  /** Called whenever it turns out that they are served now, with their caches filled, or no longer. */
  readonly onChange: () => void
  readonly log: Logger
  /** How often the API server is asked whether it serves them, in milliseconds. */
  readonly pollMs?: number
}

const defaultPollMs = 15_000

export class OptionalFollowers {
  readonly name: string
  readonly store: { readonly synced: boolean; whenSynced(signal?: AbortSignal): Promise<void> }
  readonly #options: OptionalFollowersOptions
  readonly #known = Promise.withResolvers<void>()
  #isKnown = false
  #following: Promise<unknown> | undefined
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
    while (!signal.aborted) {
      try {
        await this.#look(signal)
      } catch (error) {
        // Nothing is known that was not known before; before the first answer nobody may rely on either.
        if (!signal.aborted)
          log.warn(`cannot tell whether ${apiVersionOf(this.#options.types[0])} is served`, { error })
      }
      await sleep(pollMs, signal)
    }
    await this.#following
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { client, types, followers, onChange, log } = this.#options
    const [{ group, version }] = types
    const kinds = await client.servedKinds(group, version, { signal })
    const served = types.every(({ kind }) => kinds.includes(kind))
    if (served && this.#following === undefined) {
      const started = followers()
      this.#following = Promise.all(started.map((follower) => follower.run(signal)))
      await Promise.all(started.map(({ store }) => store.whenSynced(signal)))
    }
    const changed = served !== this.#served
    this.#served = served
    this.#isKnown = true
    this.#known.resolve()
    if (!changed) return
    log.info(`${group}/${version} is ${served ? 'served' : 'no longer served'}`)
    onChange()
  }
}
