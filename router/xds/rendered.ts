// Models as they were rendered last. A change of one model must not cost what all of them cost: with hundreds of them most
// are as they were.
import { endpointsOf } from '../endpoints.ts'
import type { Endpoints, Setting } from '../model.ts'
import { renderModel, type RenderedModel, type RenderOptions } from './render.ts'

export class Rendered {
  readonly #options: RenderOptions
  /** By uid: what a model was rendered from, as text, and what came of it. */
  readonly #models = new Map<string, { readonly from: string; readonly model: RenderedModel }>()

  constructor(options: RenderOptions) {
    this.#options = options
  }

  /** The same object as long as the setting and the pods of its revisions are the same. */
  of(setting: Setting, endpoints: Endpoints): RenderedModel {
    const named = [...setting.revisions.map(({ name }) => name), ...(setting.mirror ? [setting.mirror.revision] : [])]
    const from = JSON.stringify([setting, named.map((revision) => endpointsOf(endpoints, revision))])
    const known = this.#models.get(setting.uid)
    if (known?.from === from) return known.model
    const model = renderModel(setting, endpoints, this.#options)
    this.#models.set(setting.uid, { from, model })
    return model
  }

  /** Forgets all others. */
  keepOnly(models: readonly RenderedModel[]): void {
    const uids = new Set(models.map(({ setting }) => setting.uid))
    for (const uid of this.#models.keys()) if (!uids.has(uid)) this.#models.delete(uid)
  }
}
