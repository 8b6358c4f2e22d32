import { expect, test } from '@jest/globals'
import { resolveCluster } from './resolve.ts'

test('KUBECONFIG of one’s own cluster is used as it is, and nothing is started', async () => {
  expect(await resolveCluster({ KUBECONFIG: '/somewhere/else' })).toEqual({
    kubeconfig: '/somewhere/else',
    owned: false,
  })
})
