// `npm run images`: builds the images and says what it does. The work is in build.ts.
import { parseArgs } from 'node:util'
import { sileroModels } from '../scripts/silero.ts'
import { buildImages, type BuildOptions } from './build.ts'
import { imageNames, type ImageName } from './bundle.ts'

const usage = `npm run images -- [options] [${imageNames.join(' | ')} …]

Builds the named images, all of them by default, with buildah or docker. The model store gets the two Silero models.
  --push HOST        push to this registry (plain HTTP for loopback and private addresses)
  --pull-from HOST   the name by which the cluster knows that registry
  --insecure         plain HTTP whatever the address
  --tag TAG          default: 12 digits of the content hash
  --base IMAGE       an image with Node 24; default: node:24-bookworm-slim, or a base of our own
  --fresh-base       look again whether the base can be pulled, and build our own anew
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    push: { type: 'string' },
    'pull-from': { type: 'string' },
    insecure: { type: 'boolean' },
    tag: { type: 'string' },
    base: { type: 'string' },
    'fresh-base': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})

const unknown = positionals.find((name) => !isImageName(name))
if (values.help === true) {
  console.log(usage)
} else if (unknown !== undefined) {
  console.error(`There is no image called ${unknown}.\n\n${usage}`)
  process.exitCode = 64
} else {
  const asked = positionals.filter(isImageName)
  const names = asked.length > 0 ? asked : imageNames
  const options: BuildOptions = {
    log: (line) => console.log(line),
    ...(names.includes('modelstore') && { files: { modelstore: await modelFiles() } }),
    ...(values.push !== undefined && { push: values.push }),
    ...(values['pull-from'] !== undefined && { pullFrom: values['pull-from'] }),
    ...(values.insecure !== undefined && { insecure: values.insecure }),
    ...(values.tag !== undefined && { tag: values.tag }),
    ...(values.base !== undefined && { base: values.base }),
    ...(values['fresh-base'] !== undefined && { freshBase: values['fresh-base'] }),
  }
  const images = await buildImages(names, options)
  console.log('')
  for (const { ref, digest, sizeBytes, unpackedBytes } of Object.values(images)) {
    const sizes = [
      sizeBytes === undefined ? [] : [`${megabytes(sizeBytes)} compressed`],
      `${megabytes(unpackedBytes)} unpacked`,
    ]
    console.log(`${ref}\n  ${digest}\n  ${sizes.flat().join(', ')}`)
  }
}

/** What the examples' model store offers. */
async function modelFiles(): Promise<Record<string, string>> {
  const { v5, v6 } = await sileroModels()
  return { '/models/silero_vad_v5.onnx': v5, '/models/silero_vad_v6.onnx': v6 }
}

function isImageName(name: string): name is ImageName {
  return (imageNames as readonly string[]).includes(name)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
