// The cluster's own image registry: plain HTTP on the bridge, reachable by the host and the nodes only. Pods name it
// slipway.local:5000; from the host it is pushed to by its address.
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { waitUntil } from './api.ts'
import { REGISTRY_NAME } from './addresses.ts'
import { spawnSync } from 'node:child_process'
import { type Daemon, startDaemon, whatEnded } from './processes.ts'

/** Starts the registry and waits until it answers. @param address such as `10.250.0.1:5000` */
export async function startRegistry(dir: string, address: string, program: string): Promise<Daemon> {
  const data = join(dir, 'registry')
  await mkdir(data, { recursive: true })
  const configuration = {
    version: '0.1',
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: data }, delete: { enabled: true } },
    http: { addr: address },
  }
  const file = join(dir, 'registry.json')
  await writeFile(file, JSON.stringify(configuration))
  const daemon = await startDaemon({
    name: 'registry',
    command: program,
    args: ['serve', file],
    dir,
    diesWithParent: false,
  })
  await waitUntil('the registry answers', async () => (await fetch(`http://${address}/v2/`)).ok, {
    failed: () => whatEnded([daemon]),
  })
  return daemon
}

/** Tells containerd where images of slipway.local:5000 really come from. Returns the folder to point it at. */
export async function writeMirrors(dir: string, address: string): Promise<string> {
  const folder = join(dir, 'certs.d', REGISTRY_NAME)
  await mkdir(folder, { recursive: true })
  const lines = [
    `server = "http://${address}"`,
    `[host."http://${address}"]`,
    '  capabilities = ["pull", "resolve"]',
    '',
  ]
  await writeFile(join(folder, 'hosts.toml'), lines.join('\n'))
  return dirname(folder)
}

/** Pushes an image that holds one static program and nothing else. Returns its name for pods. */
export async function pushProgram(address: string, repository: string, program: string): Promise<string> {
  const name = basename(program)
  const tar = archive(program, name)
  const layer = gzipSync(tar, { level: 1 })
  const configuration = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Entrypoint: [`/${name}`] },
      rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
    }),
  )
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: describe('application/vnd.oci.image.config.v1+json', configuration),
    layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
  })
  const base = `http://${address}/v2/${repository}`
  for (const blob of [layer, configuration]) await upload(base, blob)
  const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }
  await expectOk(fetch(`${base}/manifests/1`, { method: 'PUT', headers, body: manifest }))
  return `${REGISTRY_NAME}/${repository}:1`
}

function archive(program: string, name: string): Buffer {
  const args = ['-C', dirname(program), '--owner=0', '--group=0', '--mtime=@0', '-c', name]
  const { stdout, status, stderr } = spawnSync('tar', args, { maxBuffer: 64 << 20 })
  if (status !== 0) throw new Error(`tar failed: ${stderr.toString()}`)
  return stdout
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length })

async function upload(base: string, blob: Buffer): Promise<void> {
  const begun = await expectOk(fetch(`${base}/blobs/uploads/`, { method: 'POST' }))
  const target = new URL(begun.headers.get('location') ?? '', base)
  target.searchParams.set('digest', digestOf(blob))
  const headers = { 'content-type': 'application/octet-stream' }
  await expectOk(fetch(target, { method: 'PUT', headers, body: new Uint8Array(blob) }))
}

async function expectOk(answer: Promise<Response>): Promise<Response> {
  const response = await answer
  if (!response.ok) throw new Error(`the registry answered ${response.status}: ${await response.text()}`)
  return response
}
