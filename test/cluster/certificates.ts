// The certificate authority of one test cluster and what it signs, made with the openssl program. Keys never leave the
// cluster's folder and are readable by their owner only.
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { run } from './commands.ts'

/** One certificate: who it is for, and under which names and addresses a server presents it. */
export interface CertificateRequest {
  readonly name: string
  readonly commonName: string
  readonly organization?: string
  readonly names?: readonly string[]
}

export interface KeyPair {
  readonly certificate: string
  readonly key: string
}

/** Paths of `NAME.crt` and `NAME.key` in the `pki` folder of a cluster. */
export function keyPair(dir: string, name: string): KeyPair {
  return { certificate: join(dir, 'pki', `${name}.crt`), key: join(dir, 'pki', `${name}.key`) }
}

/** Makes the authority (`ca`) and the key that signs service-account tokens (`service-account`). */
export async function createAuthority(dir: string): Promise<void> {
  const pki = join(dir, 'pki')
  await mkdir(pki, { recursive: true, mode: 0o700 })
  await chmod(pki, 0o700)
  await openssl(dir, { name: 'ca', commonName: 'slipway-test-cluster' }, true)
  await run('openssl', ['genrsa', '-out', keyPair(dir, 'service-account').key, '2048'])
}

/** Makes certificates signed by the authority, each usable by clients and servers. */
export async function createCertificates(dir: string, requests: readonly CertificateRequest[]): Promise<void> {
  for (const request of requests) await openssl(dir, request, false)
}

/** The part of openssl's configuration that makes a request what it is. */
export function opensslConfig(request: CertificateRequest, isAuthority: boolean): string {
  const names = (request.names ?? []).map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`)
  return [
    '[req]',
    'prompt = no',
    'distinguished_name = subject',
    'x509_extensions = extensions',
    '[subject]',
    ...(request.organization ? [`O = ${request.organization}`] : []),
    `CN = ${request.commonName}`,
    '[extensions]',
    `basicConstraints = critical,CA:${isAuthority ? 'TRUE' : 'FALSE'}`,
    `keyUsage = critical,${isAuthority ? 'keyCertSign,cRLSign,digitalSignature' : 'digitalSignature'}`,
    ...(isAuthority ? [] : ['extendedKeyUsage = serverAuth,clientAuth']),
    ...(names.length > 0 ? [`subjectAltName = ${names.join(',')}`] : []),
    '',
  ].join('\n')
}

async function openssl(dir: string, request: CertificateRequest, isAuthority: boolean): Promise<void> {
  const { certificate, key } = keyPair(dir, request.name)
  const configuration = join(dir, 'pki', `${request.name}.cnf`)
  await writeFile(configuration, opensslConfig(request, isAuthority))
  const authority = keyPair(dir, 'ca')
  const signer = isAuthority ? [] : ['-CA', authority.certificate, '-CAkey', authority.key]
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '365']
  const output = ['-keyout', key, '-out', certificate]
  await run('openssl', ['req', '-x509', '-config', configuration, ...signer, ...fresh, ...output])
  await chmod(key, 0o600)
}
