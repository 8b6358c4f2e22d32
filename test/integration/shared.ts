// What setup.ts hands to teardown.ts. jest may load the two as separate modules of one process, so it is kept under a
// symbol that the whole process shares.
import type { ControlPlane } from '../cluster/controlplane.ts'

const KEY = Symbol.for('slipway.test.control-plane')

export const keepControlPlane = (controlPlane: ControlPlane): void => {
  Reflect.set(globalThis, KEY, controlPlane)
}

export const keptControlPlane = (): ControlPlane | undefined => {
  const kept: ControlPlane | undefined = Reflect.get(globalThis, KEY)
  return kept
}
