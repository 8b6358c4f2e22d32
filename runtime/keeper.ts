/**
 * Brings the versions that a server holds to those it is told to hold: loads new ones beside the old, switches, and only
 * then lets old ones go. It must never leave requests without a version that serves.
 */
import type { Desired } from './desired.ts'
import { errorFields, type Log } from './log.ts'
import type { Models } from './models.ts'
import type { LiveVersion, VersionSpec } from './version.ts'

export interface KeeperOptions {
  readonly models: Models
  readonly log: Log
  readonly make: (spec: VersionSpec) => LiveVersion
  /** How long a version goes on after nobody finds it any more, in milliseconds. */
  readonly retireMs: number
  /** Verifies, loads and warms up. Throws when it cannot serve. */
  readonly load: (version: LiveVersion) => Promise<void>
}

export class Keeper {
  readonly #options: KeeperOptions
  /** What was asked last; a change waits for the one before it. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  /**
   * Loads the first version, which becomes the default.
   * @throws Fault when it cannot serve: a server without a version has no reason to live
   */
  async start(spec: VersionSpec): Promise<void> {
    const { models, make, load } = this.#options
    const version = make(spec)
    models.add(version)
    models.makeCurrent(version)
    await load(version)
  }

  /** Makes it so. Resolves when it is done, with what could not be loaded left as `Failed`. */
  reconcile(desired: Desired): Promise<void> {
    this.#turn = this.#turn.then(() => this.#reconcile(desired))
    return this.#turn
  }

  async #reconcile({ current, versions }: Desired): Promise<void> {
    const { models, log } = this.#options
    for (const spec of versions) {
      const known = models.list().find(({ version }) => version === spec.version)
      if (known !== undefined && sameFile(known.spec, spec) && known.phase.name === 'Serving') continue
      if (known?.phase.name === 'Serving') {
        log.error(`version ${spec.version} is served from another file; give the new file a version of its own`, {
          'event.action': 'versions',
        })
      } else {
        if (known !== undefined) models.remove(known)
        // oxlint-disable-next-line no-await-in-loop -- loading in several threads at once has crashed ONNX Runtime
        await this.#load(spec)
      }
    }
    this.#relabel(versions)
    const next = models.list().find(({ version }) => version === current)
    if (next?.phase.name !== 'Serving') {
      log.error(`version ${current} does not serve, so ${models.current?.version} stays the default`, {
        'event.action': 'versions',
      })
    } else if (next !== models.current) {
      log.info(`version ${current} is the default now, after ${models.current?.version}`, { 'event.action': 'switch' })
      models.makeCurrent(next)
    }
    for (const known of models.list()) {
      const wanted = versions.some(({ version }) => version === known.version)
      if (!wanted && known !== models.current) this.#retire(known)
    }
  }

  /** Moves labels to the versions that are to carry them; one whose new version does not serve stays where it is. */
  #relabel(specs: readonly VersionSpec[]): void {
    const serving = this.#options.models.list().filter(({ phase }) => phase.name === 'Serving')
    const serves = (version: string): boolean => serving.some((known) => known.version === version)
    const held = new Set(specs.filter(({ version }) => !serves(version)).flatMap(({ labels }) => labels))
    for (const known of serving) {
      const spec = specs.find(({ version }) => version === known.version)
      if (spec === undefined || !sameFile(known.spec, spec)) continue
      known.relabel([...spec.labels, ...known.labels.filter((label) => held.has(label))])
    }
  }

  async #load(spec: VersionSpec): Promise<void> {
    const { models, log, make, load } = this.#options
    const version = make(spec)
    models.add(version)
    try {
      await load(version)
    } catch (error) {
      log.error(`version ${spec.version} cannot be loaded`, { 'event.action': 'versions', ...errorFields(error) })
      await version.fail(error)
    }
  }

  #retire(version: LiveVersion): void {
    const { models, log, retireMs } = this.#options
    models.remove(version)
    log.info(`version ${version.version} goes when its last request is answered`, { 'event.action': 'retire' })
    version.retire(retireMs).then(
      () => log.info(`version ${version.version} is gone`, { 'event.action': 'retired' }),
      (error: unknown) => log.error(`version ${version.version} did not end`, errorFields(error)),
    )
  }
}

function sameFile(one: VersionSpec, other: VersionSpec): boolean {
  return one.file === other.file && one.digest === other.digest
}
