/**
 * Says what is inside a model file: loads it as the server would and reads its signature.
 * It must never call a file a model that the server could not serve.
 */
import { open } from 'node:fs/promises'
import { EngineThread } from '../engine/thread.ts'
import { fault } from '../errors.ts'
import type { Signature } from '../tensor.ts'
import { checkMemory } from './memory.ts'

export interface InspectOptions {
  readonly file: string
  readonly sizeBytes: number
  readonly memoryLimit: number | undefined
  /** The program's own entry file, for the worker in which the model is loaded. */
  readonly entry: URL
  readonly intraOpThreads: number
}

export interface Inspection {
  readonly signature: Signature
  /** What the self-test found, for the log. */
  readonly selfTest: string
}

/** @throws Fault `ModelInvalid`, `ModelUnsupported` or `ModelTooLarge` */
export async function inspectModel(options: InspectOptions): Promise<Inspection> {
  const { file, sizeBytes, memoryLimit, entry, intraOpThreads } = options
  await refuseOtherFormats(file)
  checkMemory(sizeBytes, memoryLimit)
  const thread = new EngineThread(entry, { onChange() {} })
  try {
    const { signature, selfTest } = await thread.load({
      file,
      sizeBytes,
      modelName: 'model',
      modelVersion: '',
      warmupRequests: 0,
      maxBatch: 1,
      device: 'CPU',
      intraOpThreads,
    })
    return { signature, selfTest }
  } finally {
    await thread.close()
  }
}

/** Recognises what people upload by mistake, because a parser's words would not help them. */
async function refuseOtherFormats(file: string): Promise<void> {
  await using handle = await open(file, 'r')
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0)
  if (bytesRead === 0) throw fault('ModelEmpty', {})
  const text = buffer.toString('latin1', 0, bytesRead)
  const start = text.trimStart()
  if (/^<(!doctype|html|head|body|\?xml)/i.test(start)) {
    throw fault('ModelIsHtml', { start: (/^[^>\r\n]{0,60}>?/.exec(start)?.[0] ?? '').replaceAll(/[^\x20-\x7e]/g, '?') })
  }
  for (const { begins, kind, remedy } of otherFormats) {
    if (text.startsWith(begins)) throw fault('ModelIsSomethingElse', { kind, remedy })
  }
}

const otherFormats = [
  {
    begins: 'version https://git-lfs',
    kind: 'a Git LFS pointer',
    remedy: 'upload the file it points to (git lfs pull), or use the link that downloads it',
  },
  {
    begins: 'PK\u0003\u0004',
    kind: 'a zip archive, as PyTorch and Keras save models',
    remedy: 'export the model to ONNX (torch.onnx.export or tf2onnx) and upload the .onnx file',
  },
  { begins: '\u001f\u008b', kind: 'compressed with gzip', remedy: 'upload the unpacked .onnx file' },
  { begins: '\u0089HDF', kind: 'an HDF5 file', remedy: 'convert the model to ONNX with tf2onnx' },
  {
    begins: '\u0080\u0002',
    kind: 'a Python pickle',
    remedy: 'convert the model to ONNX with skl2onnx or torch.onnx.export',
  },
  {
    begins: '\u0080\u0003',
    kind: 'a Python pickle',
    remedy: 'convert the model to ONNX with skl2onnx or torch.onnx.export',
  },
  {
    begins: '\u0080\u0004',
    kind: 'a Python pickle',
    remedy: 'convert the model to ONNX with skl2onnx or torch.onnx.export',
  },
  { begins: '{"', kind: 'JSON', remedy: 'use the link that downloads the model file itself' },
] as const
