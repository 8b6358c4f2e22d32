// Before all integration tests: one control plane that they share, each in namespaces of its own. An API server of
// one's own is used instead when SLIPWAY_TEST_KUBECONFIG names it.
import { startControlPlane } from '../cluster/controlplane.ts'
import { keepControlPlane } from './shared.ts'

export default async function setup(): Promise<void> {
  if (process.env['SLIPWAY_TEST_KUBECONFIG']) return
  const controlPlane = await startControlPlane()
  keepControlPlane(controlPlane)
  // jest's workers are started after this and inherit the environment.
  process.env['SLIPWAY_TEST_KUBECONFIG'] = controlPlane.kubeconfig
  process.env['SLIPWAY_TEST_AUDIT_LOG'] = controlPlane.auditLog
}
