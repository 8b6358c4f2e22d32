// After all integration tests: the control plane that setup.ts started ends, and nothing else.
import { keptControlPlane } from './shared.ts'

export default async function teardown(): Promise<void> {
  await keptControlPlane()?.stop()
}
