/**
 * Whether a model can fit into the container's memory at all, known before it is loaded:
 * being killed for memory would leave no message behind.
 */
import { fault, printBytes } from '../errors.ts'

/**
 * What the runtime itself needs beside the model, in bytes: with a tiny model it was killed for memory under limits of 104 to
 * 120 MiB, and serves under 128 (docs/decisions/0340).
 */
export const ownMemoryBytes = 124 * 1024 * 1024

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
