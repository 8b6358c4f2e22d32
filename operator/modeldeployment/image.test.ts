import { expect, test } from '@jest/globals'
import { pinnedImage } from './image.ts'

const digest = `sha256:${'a'.repeat(64)}`

test.each([
  ['a tag becomes the digest that was pulled', 'host:5000/app:1', `host:5000/app@${digest}`, `host:5000/app@${digest}`],
  ['a port is not a tag', 'host:5000/app', `host:5000/app@${digest}`, `host:5000/app@${digest}`],
  [
    'a short Docker Hub name is the same repository as its long one',
    'app:1',
    `docker.io/library/app@${digest}`,
    `app@${digest}`,
  ],
  ['a digest stays', `host/app@${digest}`, `host/app@sha256:${'b'.repeat(64)}`, `host/app@${digest}`],
  ['an image that was loaded into the node stays as it is', 'host/app:1', digest, 'host/app:1'],
  [
    'an image ID of another repository is not trusted',
    'host/app:1',
    `docker.io/library/import@${digest}`,
    'host/app:1',
  ],
  ['no image ID, no pin', 'host/app:1', undefined, 'host/app:1'],
])('%s', (_, reference, imageID, expected) => {
  expect(pinnedImage(reference, imageID)).toBe(expected)
})
