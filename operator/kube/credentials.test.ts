import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { loadCredentials } from './credentials.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'credentials-'))
})

afterEach(() => rm(directory, { recursive: true }))

const put = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text)

describe('in a pod', () => {
  const load = () =>
    loadCredentials({ serviceHost: '10.0.0.1', servicePort: '443', serviceAccountDirectory: directory })

  beforeEach(async () => {
    await put('token', 'first\n')
    await put('ca.crt', 'CA 1')
    await put('namespace', 'system')
  })

  test('token, CA and namespace come from the service account', async () => {
    const credentials = await load()
    expect(credentials).toMatchObject({ server: 'https://10.0.0.1:443', namespace: 'system' })
    expect(await credentials.current()).toEqual({ headers: { authorization: 'Bearer first' }, tls: { ca: 'CA 1' } })
  })

  test('after a 401 a new token is used, on the same connections while the CA is the same', async () => {
    const credentials = await load()
    const before = await credentials.current()
    await put('token', 'second')
    expect((await credentials.current()).headers['authorization']).toBe('Bearer first')
    await credentials.refresh()
    const after = await credentials.current()
    expect(after.headers['authorization']).toBe('Bearer second')
    expect(after.tls).toBe(before.tls)
    await put('ca.crt', 'CA 2')
    await credentials.refresh()
    expect((await credentials.current()).tls).toEqual({ ca: 'CA 2' })
  })

  test('a token that cannot be read for a moment does not take the old one away', async () => {
    const credentials = await load()
    await credentials.current()
    await rm(join(directory, 'token'))
    await credentials.refresh()
    expect((await credentials.current()).headers['authorization']).toBe('Bearer first')
  })

  test('an IPv6 address is put in brackets', async () => {
    const credentials = await loadCredentials({ serviceHost: 'fd00::1', serviceAccountDirectory: directory })
    expect(credentials.server).toBe('https://[fd00::1]:443')
  })

  test('a kubeconfig that was named wins', async () => {
    await put('config', kubeconfig({ token: 'from-file' }))
    const credentials = await loadCredentials({
      kubeconfig: join(directory, 'config'),
      serviceHost: '10.0.0.1',
      serviceAccountDirectory: directory,
    })
    expect(credentials).toMatchObject({ server: 'https://example.test:6443', namespace: 'shop' })
  })
})

describe('with a kubeconfig', () => {
  test('a context other than the current one is used when it is named, and one that is not there is told', async () => {
    const two = JSON.parse(kubeconfig({ token: 't' }))
    two.contexts.push({ name: 'other', context: { cluster: 'k', user: 'u', namespace: 'bank' } })
    await put('config', JSON.stringify(two))
    const named = (context: string) => loadCredentials({ kubeconfig: join(directory, 'config'), context })
    expect(await named('other')).toMatchObject({ namespace: 'bank' })
    await expect(named('nowhere')).rejects.toThrow('has no context "nowhere"; it has: c, other')
  })

  test('token, CA and server name are taken over', async () => {
    const ca = Buffer.from('CA').toString('base64')
    await put(
      'config',
      kubeconfig({ token: 'secret' }, { 'certificate-authority-data': ca, 'tls-server-name': 'other' }),
    )
    const credentials = await loadCredentials({ kubeconfig: join(directory, 'config') })
    expect(await credentials.current()).toEqual({
      headers: { authorization: 'Bearer secret' },
      tls: { ca: 'CA', servername: 'other' },
    })
  })

  test('an exec plugin is asked once, and again after a 401', async () => {
    const plugin = join(directory, 'plugin.sh')
    const token = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t%s"}}'
    await put(
      'plugin.sh',
      `#!/bin/sh\necho run >> ${directory}/runs\nprintf '${token}' "$(wc -l < ${directory}/runs)"\n`,
    )
    await chmod(plugin, 0o755)
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' }
    await put('config', kubeconfig({ exec }))
    const credentials = await loadCredentials({ kubeconfig: join(directory, 'config') })
    const tokens = async () => (await credentials.current()).headers['authorization']
    expect([await tokens(), await tokens()]).toEqual(['Bearer t1', 'Bearer t1'])
    await credentials.refresh()
    expect(await tokens()).toBe('Bearer t2')
    expect((await readFile(join(directory, 'runs'), 'utf8')).trim().split('\n')).toHaveLength(2)
  })

  test('one without a current context is refused with the file and the fix', async () => {
    await put('config', JSON.stringify({ clusters: [], contexts: [], users: [] }))
    await expect(loadCredentials({ kubeconfig: join(directory, 'config') })).rejects.toThrow(
      `${directory}/config has no current context; set KUBECONFIG`,
    )
  })

  test('a proxy is refused, not ignored', async () => {
    await put('config', kubeconfig({ token: 't' }, { 'proxy-url': 'http://proxy.test' }))
    await expect(loadCredentials({ kubeconfig: join(directory, 'config') })).rejects.toThrow('has a proxy-url')
  })
})

/** JSON is YAML. */
const kubeconfig = (user: object, cluster: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    clusters: [{ name: 'k', cluster: { server: 'https://example.test:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u', namespace: 'shop' } }],
  })
