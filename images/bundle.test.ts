import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { identityModel } from '../test/fixtures/onnx.ts'
import { contentHash } from './build.ts'
import { stage } from './bundle.ts'
import { repoRoot } from './paths.ts'
import { run } from './run.ts'

// Bundling is quick, but not on a machine that is busy with other things.
jest.setTimeout(60_000)

let root = ''

/** A checkout with small programs in place of the real ones, so that this says something about bundling alone. */
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'slipway-bundle-'))
  await symlink(join(repoRoot, 'node_modules'), join(root, 'node_modules'))
  await source('operator/main.ts', "import winston from 'winston'\nconsole.log(typeof winston.createLogger)\n")
  await source(
    'runtime/main.ts',
    `import { isMainThread, Worker } from 'node:worker_threads'
     import { InferenceSession, Tensor } from 'onnxruntime-node'
     if (isMainThread) new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) })
     else {
       const session = await InferenceSession.create(Buffer.from(process.argv[2] ?? '', 'base64'))
       const { y } = await session.run({ x: new Tensor('float32', [1, 2, 3], [3]) })
       console.log([...(y?.data as Float32Array)].join(' '))
     }\n`,
  )
  await source('runtime/ui/page.html', '<!doctype html>\n')
  await source('router/late.ts', "export { request } from 'undici'\n")
  await source(
    'router/main.ts',
    "const { request } = process.argv[2] ? await import('./late.ts') : { request() {} }\nconsole.log(typeof request)\n",
  )
  await source('test/modelstore/main.ts', 'console.log(1)\n')
  await source('bench/router/client/main.ts', 'console.log(1)\n')
})

afterAll(async () => rm(root, { recursive: true, force: true }))

const source = async (path: string, text: string): Promise<void> => {
  await mkdir(join(root, path, '..'), { recursive: true })
  await writeFile(join(root, path), text)
}

const filesIn = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}

const node = join(repoRoot, 'node_modules', '.bin', 'node')

describe('the build context of an image', () => {
  test('the operator and the agent of routers run without node_modules; what they import late is apart', async () => {
    const context = await stage('operator', { root })
    const files = await filesIn(context)
    // With what the licences of bundled packages ask to be told.
    const legal = 'app/main.mjs.LEGAL.txt'
    expect(files).toEqual(expect.arrayContaining(['app/agent.mjs', 'app/main.mjs', legal]))
    expect((await stat(join(context, 'app/agent.mjs'))).size).toBeLessThan(5000)
    for (const [file = '', ...args] of [['app/main.mjs'], ['app/agent.mjs'], ['app/agent.mjs', 'late']])
      expect(await run(node, [join(context, file), ...args], { cwd: tmpdir() })).toBe('function\n')
  })

  test('Envoy is its program, which may be run', async () => {
    const context = await stage('envoy', { root, files: { '/usr/local/bin/envoy': join(root, 'operator/main.ts') } })
    expect(await filesIn(context)).toEqual(['files/usr/local/bin/envoy'])
    expect((await stat(join(context, 'files/usr/local/bin/envoy'))).mode & 0o777).toBe(0o755)
  })

  test('the runtime has the Linux CPU library and no other, and runs a model in a worker of the same file', async () => {
    const context = await stage('runtime', { root })
    expect(await filesIn(context)).toEqual([
      'app/libonnxruntime.so.1',
      'app/main.mjs',
      'app/onnxruntime_binding.node',
      'app/ui/page.html',
    ])
    const model = identityModel('FLOAT', ['n']).toString('base64')
    expect(await run(node, [join(context, 'app/main.mjs'), model], { cwd: tmpdir() })).toBe('1 2 3\n')
  })

  test('the model store is its program and the files it is given', async () => {
    const files = { '/models/tiny.onnx': join(root, 'operator/main.ts') }
    const context = await stage('modelstore', { root, files })
    expect(await filesIn(context)).toEqual(['app/load.mjs', 'app/main.mjs', 'files/models/tiny.onnx'])
  })

  test('no other image takes files', async () => {
    await expect(stage('operator', { root, files: { '/x': node } })).rejects.toThrow('takes no files')
  })

  test('a missing program is an error that names it', async () => {
    await expect(stage('operator', { root: join(root, 'elsewhere') })).rejects.toThrow('operator/main.ts')
  })
})

describe('the content hash', () => {
  const dockerfile = join(import.meta.dirname, 'operator.Dockerfile')

  test('is the same when the same source is bundled again', async () => {
    const first = await contentHash(dockerfile, await stage('operator', { root }), { id: 'sha256:1' })
    const second = await contentHash(dockerfile, await stage('operator', { root }), { id: 'sha256:1' })
    expect(second).toBe(first)
  })

  test('differs when the base, the Dockerfile, the program or a file differs', async () => {
    const context = await stage('modelstore', { root })
    const hashes = [
      await contentHash(dockerfile, context, { id: 'sha256:1' }),
      await contentHash(dockerfile, context, { id: 'sha256:2' }),
      await contentHash(join(import.meta.dirname, 'runtime.Dockerfile'), context, { id: 'sha256:1' }),
    ]
    await writeFile(join(context, 'files/one'), '')
    hashes.push(await contentHash(dockerfile, context, { id: 'sha256:1' }))
    await source('test/modelstore/main.ts', 'console.log(3)\n')
    hashes.push(await contentHash(dockerfile, await stage('modelstore', { root }), { id: 'sha256:1' }))
    expect(new Set(hashes).size).toBe(hashes.length)
  })
})
