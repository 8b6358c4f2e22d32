// The chart's copies of crds/*.yaml: Helm reads files only from inside a chart. They say exactly what the originals say.
import { basename } from 'node:path'

/** For every generated CRD file, its copy in the chart. */
export const chartCrds = <File extends { readonly path: string }>(files: readonly File[]): File[] =>
  files
    .filter(({ path }) => path.startsWith('crds/'))
    .map((file) => ({ ...file, path: `charts/slipway/files/crds/${basename(file.path)}` }))
