// resourceVersions compared. The API calls them opaque, but since Kubernetes 1.35 it promises that those of one resource
// compare as integers, which etcd's always did. One that is no integer is never held against anybody.
// @see https://github.com/kubernetes/enhancements/issues/5504

/** Whether version `seen` is at or after `wanted`. True where they cannot be compared. */
export const reached = (seen: string, wanted: string): boolean =>
  !isInteger(seen) || !isInteger(wanted) || BigInt(seen) >= BigInt(wanted)

/** Whether version `next` comes after `last`. True where they cannot be compared. */
export const advances = (last: string, next: string): boolean =>
  !isInteger(last) || !isInteger(next) || BigInt(next) > BigInt(last)

const isInteger = (version: string): boolean => /^\d+$/.test(version)
