// The versions that a test cluster is made of. Nothing else in the project names a Kubernetes version.

/**
 * The Kubernetes version of the test cluster. To change it, change `binaries/go.mod` with it (a unit test compares
 * them). 1.34 is the newest that runs on cgroup v1 without being asked to and on Debian 12's containerd 1.6.
 */
export const KUBERNETES_VERSION = '1.34.4'

/** The oldest Go that can build it, and the one that is fetched where the machine has none that is new enough. */
export const GO_MINIMUM = '1.24'
export const GO_TOOLCHAIN = '1.26.8'
