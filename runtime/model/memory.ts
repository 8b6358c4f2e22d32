/**
 * Whether a model can fit into the container's memory at all, known before it is loaded:
 * being killed for memory would leave no message behind.
 */
import { fault, printBytes } from '../errors.ts'

/** What the runtime itself needs beside the model: resident memory of an idle server with a tiny model, rounded up. */
export const ownMemoryBytes = 96 * 1024 * 1024

/** @throws Fault `ModelTooLarge` when even the bare weights do not fit */
export function checkMemory(sizeBytes: number, limitBytes: number | undefined): void {
  if (limitBytes === undefined || sizeBytes + ownMemoryBytes <= limitBytes) return
  throw fault('MemoryTooSmall', {
    size: printBytes(sizeBytes),
    limit: printBytes(limitBytes),
    // Graph optimisation and prepacking hold a second copy of many weights for a while.
    needed: `${Math.ceil((2 * sizeBytes + ownMemoryBytes) / 2 ** 20)}Mi`,
  })
}
