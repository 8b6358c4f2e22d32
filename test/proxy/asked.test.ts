import { expect, test } from '@jest/globals'
import { isWrite, readRequest } from './asked.ts'

test.each([
  ['GET', '/api/v1/namespaces/shop/pods?limit=250', 'list pods shop undefined'],
  ['GET', '/api/v1/pods?watch=1&resourceVersion=7', 'watch pods undefined undefined'],
  ['GET', '/apis/apps/v1/namespaces/shop/deployments/web', 'get deployments.apps shop web'],
  ['GET', '/api/v1/namespaces/shop', 'get namespaces undefined shop'],
  ['GET', '/api/v1/namespaces/shop/pods/a/log', 'get pods/log shop a'],
  ['POST', '/api/v1/namespaces/shop/events', 'create events shop undefined'],
  [
    'PUT',
    '/apis/slipway.dev/v1alpha1/namespaces/shop/modeldeployments/fraud/status',
    'update modeldeployments.slipway.dev/status shop fraud',
  ],
  ['PATCH', '/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=x', 'patch deployments.apps shop web'],
  ['DELETE', '/apis/batch/v1/namespaces/shop/jobs/j', 'delete jobs.batch shop j'],
  ['DELETE', '/apis/batch/v1/namespaces/shop/jobs', 'deletecollection jobs.batch shop undefined'],
  ['GET', '/readyz', 'list  undefined undefined'],
])('%s %s is %s', (method, url, words) => {
  const { verb, resource, namespace, name } = readRequest(method, url)
  expect(`${verb} ${resource} ${namespace} ${name}`).toBe(words)
})

test('a dry run is no write, and neither is a read', () => {
  expect(isWrite(readRequest('PATCH', '/api/v1/namespaces/a/pods/b?dryRun=All'))).toBe(false)
  expect(isWrite(readRequest('GET', '/api/v1/pods'))).toBe(false)
  expect(isWrite(readRequest('DELETE', '/api/v1/namespaces/a/pods/b'))).toBe(true)
})
