// Two versions of a real model: Silero VAD v5 and v6, which find speech in 32 ms of sound. Same signature, different
// answers.
import { cachePath } from '../images/paths.ts'
import { packageFiles, type PackageFiles } from './packagefiles.ts'

export interface SileroModels {
  /** Paths of the files. */
  readonly v5: string
  readonly v6: string
}

/** Inputs of both: input FP32 [-1,-1], state FP32 [2,-1,128], sr INT64 []. Outputs: output FP32 [-1,1], stateN as state. */
const silero: PackageFiles<'v5' | 'v6'> = {
  package: '@ricky0123/vad-web',
  version: '0.0.31',
  files: {
    v5: {
      path: 'dist/silero_vad_v5.onnx',
      digest: 'sha256:2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f',
    },
    v6: {
      path: 'dist/silero_vad_v6.onnx',
      digest: 'sha256:1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3',
    },
  },
}

/** @throws Error when the package cannot be had or holds other files than recorded */
export const sileroModels = (): Promise<SileroModels> => packageFiles(silero, cachePath('silero', silero.version))
