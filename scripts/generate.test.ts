// Generated files are those in the checkout: whoever changes a schema also commits what follows from it.
import { expect, test } from '@jest/globals'
import { generatedFiles, staleFiles } from './generate.ts'

test('npm run generate has nothing to write', async () => {
  expect((await staleFiles()).map((file) => file.path)).toEqual([])
}, 60_000)

test('each CRD is generated, under 200 KB', async () => {
  const crds = (await generatedFiles()).filter(({ path }) => path.startsWith('crds/'))
  expect(crds.map(({ path }) => path)).toEqual([
    'crds/slipway.dev_modeldeployments.yaml',
    'crds/slipway.dev_modelrevisions.yaml',
  ])
  for (const { text } of crds) expect(Buffer.byteLength(text)).toBeLessThan(200 * 1024)
})
