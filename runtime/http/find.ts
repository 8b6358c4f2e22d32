/**
 * Finds the version that a path names, with the refusal in the words of the path's protocol.
 */
import { Fault, fault } from '../errors.ts'
import type { Models } from '../models.ts'
import type { ModelRef } from '../protocols/routes.ts'
import type { Protocol } from '../protocols/wire.ts'
import type { LiveVersion } from '../version.ts'

export function findVersion(models: Models, protocol: Protocol, ref: ModelRef): LiveVersion | Fault {
  const { model, version, label } = ref
  if (label !== undefined) return models.findLabel(model, label)
  const found = models.find(model, version)
  if (!(found instanceof Fault) || protocol !== 'v1' || found.code !== 'UnknownVersion') return found
  // TensorFlow Serving knows numbers only, and its clients tell this mistake from a version that is not there.
  if (version === undefined || /^\d+$/.test(version)) return found
  const live = models.list().map((known) => known.version)
  return fault('V1Version', { found: version, model, live: live.join(', ') || 'none' })
}
