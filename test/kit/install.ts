// Slipway installed as a user installs it: by its Helm chart, with images by digest.
import type { Shell } from './shell.ts'

/** Image references by digest, as pods name them. */
export interface Images {
  readonly operator: string
  readonly runtime: string
  readonly envoy: string
  readonly modelstore: string
}

/** Installs or upgrades the chart and waits until the operator is ready. */
export const installSlipway = async (shell: Shell, images: Images, values: readonly string[] = []): Promise<void> => {
  await shell.helm([
    'upgrade',
    '--install',
    'slipway',
    'charts/slipway',
    '--namespace=slipway-system',
    '--create-namespace',
    ...imageValues('image', images.operator),
    ...imageValues('runtime.image', images.runtime),
    ...imageValues('router.envoy.image', images.envoy),
    ...values.map((value) => `--set=${value}`),
    '--wait',
    '--timeout=3m',
  ])
}

const imageValues = (path: string, reference: string): string[] => {
  const [repository = '', digest = ''] = reference.split('@')
  return [`--set=${path}.repository=${repository}`, `--set=${path}.digest=${digest}`]
}
