// An image reference frozen by the digest that the kubelet really pulled. Pure.

/**
 * `reference` pinned to the digest in `imageID`, for example `repo/app:1` and `repo/app@sha256:…` give the latter.
 * Where the node cannot tell a digest of that repository (an image that was loaded into the node, not pulled),
 * the reference stays as it is: pinning it would make it unpullable.
 */
export const pinnedImage = (reference: string, imageID: string | undefined): string => {
  if (reference.includes('@sha256:')) return reference
  const digest = imageID?.match(/^(?:docker-pullable:\/\/)?(.+)@(sha256:[0-9a-f]{64})$/)
  if (digest?.[1] === undefined || digest[2] === undefined) return reference
  const repository = repositoryOf(reference)
  return canonical(repository) === canonical(digest[1]) ? `${repository}@${digest[2]}` : reference
}

/** The reference without its tag; a port after the host is not a tag. */
const repositoryOf = (reference: string): string => {
  const colon = reference.lastIndexOf(':')
  return colon > reference.lastIndexOf('/') ? reference.slice(0, colon) : reference
}

/** Docker Hub's short names written out, so that `app` equals `docker.io/library/app`. */
const canonical = (repository: string): string => {
  const parts = repository.split('/')
  const first = parts[0] ?? ''
  const hasHost = parts.length > 1 && (first.includes('.') || first.includes(':') || first === 'localhost')
  if (hasHost) return repository
  return parts.length === 1 ? `docker.io/library/${repository}` : `docker.io/${repository}`
}
