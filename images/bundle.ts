// Writes the build context of each image: esbuild's one file a program and what it imports late, and what cannot be
// bundled beside it.
// A context holds nothing else, so that nothing else can get into an image.
import { chmod, copyFile, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import * as esbuild from 'esbuild'

export const imageNames = ['operator', 'runtime', 'envoy', 'modelstore'] as const
export type ImageName = (typeof imageNames)[number]

export interface StageOptions {
  /** The checkout whose programs are bundled. */
  readonly root: string
  /** Files besides the programs: absolute path in the image → path here. Only the model store and Envoy take any. */
  readonly files?: Readonly<Record<string, string>>
  /** The folder that is written; whatever was in it goes. */
  readonly to?: string
}

/**
 * Writes the context anew, at `dist/images/<name>` unless told, and returns its path.
 * @throws Error naming the source file that is missing or does not build
 */
export async function stage(name: ImageName, options: StageOptions): Promise<string> {
  const { root, files = {}, to: context = join(root, 'dist', 'images', name) } = options
  await rm(context, { recursive: true, force: true })
  await mkdir(join(context, 'app'), { recursive: true })
  for (const [file, source] of Object.entries(programs[name]))
    // The runtime starts workers from its own file, so it stays one file.
    await bundle(join(root, source), join(context, 'app', file), { root, splitting: name === 'operator' })
  if (name === 'runtime') {
    await copyNativeLibraries(root, join(context, 'app'))
    await nameLocale(join(context, 'locale'))
    // The page's files are read from beside the program.
    for (const file of await readdir(join(root, 'runtime', 'ui'))) {
      await place(join(root, 'runtime', 'ui', file), join(context, 'app', 'ui', file), 0o644) // oxlint-disable-line no-await-in-loop -- three files
    }
  }
  if (name === 'modelstore' || name === 'envoy') await mkdir(join(context, 'files'))
  else if (Object.keys(files).length > 0) throw new Error(`The ${name} image takes no files besides its program`)
  for (const [path, source] of Object.entries(files))
    await place(source, join(context, 'files', path), name === 'envoy' ? 0o755 : 0o644)
  return context
}

/** The programs of each image. Envoy is not ours: its program is one of its files. */
const programs: Record<ImageName, Readonly<Record<string, string>>> = {
  operator: { 'main.mjs': 'operator/main.ts', 'agent.mjs': 'router/main.ts' },
  runtime: { 'main.mjs': 'runtime/main.ts' },
  envoy: {},
  // The client of bench:router is a pod as well.
  modelstore: { 'main.mjs': 'test/modelstore/main.ts', 'load.mjs': 'bench/router/client/main.ts' },
}

async function bundle(
  entryPoint: string,
  outfile: string,
  { root, splitting }: { readonly root: string; readonly splitting: boolean },
): Promise<void> {
  await esbuild.build({
    entryPoints: { [basename(outfile, '.mjs')]: entryPoint },
    outdir: dirname(outfile),
    outExtension: { '.js': '.mjs' },
    // What is imported late is a file of its own: text that nobody runs would stay in memory all the same.
    splitting,
    chunkNames: '[name]-[hash]',
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Names stay as they were written, because only white space is minified: a stack trace in a log is read by people.
    // Not `keepNames`: it defines the name anew of every function each time that one is made, a third of a start's time.
    // Comments go: one letter in them that is not Latin makes V8 keep the whole source with two bytes a letter, 12 MiB of
    // the operator's memory.
    minifyWhitespace: true,
    lineLimit: 160,
    // Beside the program, for the same reason: authors have names that are not Latin.
    legalComments: 'external',
    logLevel: 'silent',
    // CommonJS packages call require; an ES module has none of its own.
    banner: { js: banner },
    // The package's main file pulls in a typed client of every Kubernetes API, 16 MB of it, kept in memory as source.
    // Only its reader of kubeconfigs is used; anything else fails the build here.
    alias: { '@kubernetes/client-node': '@kubernetes/client-node/dist/config.js' },
    plugins: [nativeBinding],
  })
  await chmod(outfile, 0o644)
}

/**
 * CommonJS packages call require; an ES module has none of its own. The second name is for the one file that must be
 * found at run time: esbuild leaves a call by that name alone.
 */
const banner = `import { createRequire as slipwayCreateRequire } from 'node:module'
const slipwayRequire = slipwayCreateRequire(import.meta.url)
const require = slipwayRequire`

const nativeFolder = 'bin/napi-v6/linux/x64'
const nativeFiles = ['onnxruntime_binding.node', 'libonnxruntime.so.1']

/** onnxruntime-node looks for its library by platform in its package; in the image it lies beside the program. */
const nativeBinding: esbuild.Plugin = {
  name: 'onnxruntime-binding',
  setup(build) {
    build.onLoad({ filter: /onnxruntime-node[/\\]dist[/\\]binding\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const lookup =
        /require\(`\.\.\/bin\/napi-v6\/\$\{process\.platform\}\/\$\{process\.arch\}\/onnxruntime_binding\.node`\)/
      if (!lookup.test(source)) {
        return {
          errors: [{ text: 'onnxruntime-node loads its library in a new way; images/bundle.ts has to follow it' }],
        }
      }
      return { contents: source.replace(lookup, "slipwayRequire('./onnxruntime_binding.node')"), loader: 'js' }
    })
  },
}

/**
 * ONNX Runtime's StringNormalizer, with which many text models begin, asks for en_US.UTF-8 by name and uses no more of it
 * than which letters are upper and lower case. C.UTF-8 has the same from the same Unicode tables and is in every base
 * image of Debian's, where no locale of a country is.
 */
async function nameLocale(folder: string): Promise<void> {
  await mkdir(folder)
  await symlink('C.utf8', join(folder, 'en_US.utf8'))
}

async function copyNativeLibraries(root: string, app: string): Promise<void> {
  const folder = join(root, 'node_modules', 'onnxruntime-node', nativeFolder)
  for (const file of nativeFiles) await place(join(folder, file), join(app, file))
}

async function place(source: string, target: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(target), { recursive: true })
  await copyFile(source, target)
  await chmod(target, mode)
}
