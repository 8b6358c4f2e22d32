// Bundles kubectl-slipway into one file, dist/cli/kubectl-slipway, that runs wherever Node 24 does.
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as esbuild from 'esbuild'

/** The oldest Node whose syntax the bundle keeps to, so that it can say itself that it needs a newer one. */
const parses = 'node18'
const needs = 24

const banner = `#!/usr/bin/env node
if (Number(process.versions.node.split('.')[0]) < ${needs}) {
  console.error('error: kubectl-slipway needs Node ${needs} or newer, and node in PATH is ' + process.version + '. Install a newer one.')
  process.exit(1)
}`

/** @param root the checkout @returns the path of the program */
export const buildCli = async (root: string): Promise<string> => {
  const folder = join(root, 'dist', 'cli')
  const file = join(folder, 'kubectl-slipway')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await esbuild.build({
    entryPoints: [join(root, 'cli', 'main.ts')],
    outfile: file,
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: parses,
    // CommonJS: a file without an extension is that anywhere but below a package.json that says otherwise.
    format: 'cjs',
    keepNames: true,
    legalComments: 'eof',
    logLevel: 'silent',
    banner: { js: banner },
    // As in images/bundle.ts: only the reader of kubeconfigs is used, not the typed client of every API.
    alias: { '@kubernetes/client-node': '@kubernetes/client-node/dist/config.js' },
  })
  await writeFile(join(folder, 'package.json'), '{"type":"commonjs"}\n')
  await chmod(file, 0o755)
  return file
}

if (import.meta.main) console.log(await buildCli(join(import.meta.dirname, '..')))
