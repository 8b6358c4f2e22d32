// A request to an API server in the words of RBAC, read from its method and path. Pure.

export interface Asked {
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'
  /** `deployments.apps`, `modeldeployments.slipway.dev/status`; empty for what is no resource (`/readyz`). */
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  /** A watch that begins with everything there is. */
  readonly streamsList: boolean
  /** The server would check it and store nothing. */
  readonly dryRun: boolean
  /** Path and query as they came. */
  readonly url: string
}

/** What an API server would do with it. */
export const readRequest = (method: string, url: string): Asked => {
  const { pathname, searchParams } = new URL(url, 'http://any')
  const { group, parts } = splitPath(pathname)
  const scoped = parts[0] === 'namespaces' && parts.length > 2
  const [plural = '', name, ...subresource] = (scoped ? parts.slice(2) : parts).map(decodeURIComponent)
  const watches = searchParams.get('watch') === '1' || searchParams.get('watch') === 'true'
  const resource = [group === '' || plural === '' ? plural : `${plural}.${group}`, ...subresource].join('/')
  return {
    verb: verbOf(method, name !== undefined, watches),
    resource,
    namespace: scoped ? parts[1] : undefined,
    name,
    streamsList: searchParams.get('sendInitialEvents') === 'true',
    dryRun: searchParams.has('dryRun'),
    url,
  }
}

/** Whether it would change anything. */
export const isWrite = ({ verb, dryRun }: Asked): boolean => !dryRun && !['get', 'list', 'watch'].includes(verb)

const splitPath = (path: string): { readonly group: string; readonly parts: readonly string[] } => {
  const [root, ...rest] = path.split('/').filter((part) => part !== '')
  if (root === 'api') return { group: '', parts: rest.slice(1) }
  if (root === 'apis') return { group: rest[0] ?? '', parts: rest.slice(2) }
  return { group: '', parts: [] }
}

const verbOf = (method: string, named: boolean, watches: boolean): Asked['verb'] => {
  switch (method) {
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return named ? 'delete' : 'deletecollection'
    default:
      if (watches) return 'watch'
      return named ? 'get' : 'list'
  }
}
