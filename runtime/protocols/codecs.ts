/**
 * The wire formats by name. A name travels to the worker; the code that belongs to it runs there.
 */
import type { Codec } from './codec.ts'
import { oipJson } from './oip-json.ts'

export const codecs = { 'oip-json': oipJson } as const satisfies Record<string, Codec>

export type CodecName = keyof typeof codecs
