import { describe, expect, test } from '@jest/globals'
import { ConnectionError, isForbidden, isRetryable, StatusError } from './errors.ts'
import { deployments, namespaces, pathOf, pods, resource, resourceName } from './resources.ts'

const asked = { verb: 'patch', resource: 'deployments.apps', namespace: 'shop', name: 'web' }

describe('errors', () => {
  test('a message says what was asked and what was answered', () => {
    const error = new StatusError(409, { reason: 'Conflict', message: 'try again' }, asked)
    expect(error.message).toBe('patch deployments.apps shop/web: 409 Conflict: try again')
  })

  test('a missing permission comes with the fix, a quota does not', () => {
    const message = 'User "u" cannot patch resource "deployments" in API group "apps"'
    const denied = new StatusError(403, { reason: 'Forbidden', message }, asked)
    expect(isForbidden(denied)).toBe(true)
    expect(denied.message).toContain('grant the verb "patch" on deployments.apps in namespace shop')
    const quota = new StatusError(403, { reason: 'Forbidden', message: 'exceeded quota: pods' }, asked)
    expect(quota.message).not.toContain('grant')
    const everywhere = new StatusError(403, { message }, { verb: 'list', resource: 'pods' })
    expect(everywhere.message).toContain('grant the verb "list" on pods cluster-wide')
  })

  test('busy, broken and gone servers may be asked again, refusals may not', () => {
    const codes = [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504]
    expect(codes.filter((code) => isRetryable(new StatusError(code, {}, asked)))).toEqual([429, 500, 502, 503, 504])
    expect(isRetryable(new ConnectionError('ECONNRESET', asked, 'x'))).toBe(true)
    expect(isRetryable(new Error('x'))).toBe(false)
  })

  test('how long to wait comes from the header or from the body', () => {
    const body = { details: { retryAfterSeconds: 3 } }
    expect(new StatusError(429, body, asked).retryAfterMs).toBe(3000)
    expect(new StatusError(429, body, asked, 500).retryAfterMs).toBe(500)
    expect(new StatusError(429, {}, asked).retryAfterMs).toBeUndefined()
  })
})

describe('paths', () => {
  test.each([
    [pathOf(pods, 'n', 'p', 'log'), '/api/v1/namespaces/n/pods/p/log'],
    [pathOf(pods, undefined), '/api/v1/pods'],
    [pathOf(deployments, 'n'), '/apis/apps/v1/namespaces/n/deployments'],
    [pathOf(deployments, 'n', 'd', 'status'), '/apis/apps/v1/namespaces/n/deployments/d/status'],
    [pathOf(namespaces, undefined, 'n'), '/api/v1/namespaces/n'],
    [
      pathOf(resource('example.test', 'v1', 'things', 'Thing', 'Cluster'), 'ignored', 't'),
      '/apis/example.test/v1/things/t',
    ],
    [pathOf(pods, 'n', 'a/../b'), '/api/v1/namespaces/n/pods/a%2F..%2Fb'],
  ])('%s', (path, expected) => {
    expect(path).toBe(expected)
  })

  test('a namespaced object without a namespace is a bug, not a cluster-wide call', () => {
    expect(() => pathOf(pods, undefined, 'p')).toThrow('Pod p needs a namespace')
  })

  test('kinds are named as RBAC names them', () => {
    expect([resourceName(pods), resourceName(deployments)]).toEqual(['pods', 'deployments.apps'])
  })
})
