// What an object asks for right now: the revision of its spec, or the kept one that spec.rollback.to names. Pure.
// It must never choose between two that a name fits.
import { revisionHash, revisionName } from '../api/identity.ts'
import type { ModelDeployment } from '../api/modeldeployment.ts'
import type { ModelRevision } from '../api/modelrevision.ts'
import type { Target } from '../rollout/observed.ts'
import { newestFirst } from './names.ts'

/** `rollback.to` names a revision by its name, or by a version that only one kept revision has. */
export const targetOf = (deployment: ModelDeployment, revisions: readonly ModelRevision[]): Target => {
  const { to } = deployment.spec.rollback
  if (to === '') {
    const hash = revisionHash(deployment.spec)
    return { kind: 'Revision', hash, revision: revisionName(deployment.metadata.name, hash) }
  }
  const kept = newestFirst(revisions)
  const named = kept.filter((r) => r.metadata.name === to)
  const found = named.length > 0 ? named : kept.filter((r) => r.spec.model.version === to)
  const [only] = found
  if (only !== undefined && found.length === 1)
    return { kind: 'Revision', hash: only.spec.hash, revision: only.metadata.name }
  const wrong =
    only === undefined
      ? `which is no kept revision; kept are: ${list(kept) || 'none'}`
      : `a version that several kept revisions have; name one of: ${list(found)}`
  return { kind: 'Missing', message: `spec.rollback.to is "${to}", ${wrong}.` }
}

const list = (revisions: readonly ModelRevision[]): string =>
  revisions.map((r) => `${r.spec.model.version} (${r.metadata.name})`).join(', ')
