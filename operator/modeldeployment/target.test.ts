import { expect, test } from '@jest/globals'
import { directSpecOf } from '../api/fixtures.ts'
import { revisionHash } from '../api/identity.ts'
import { deploymentOf, revisionOf } from './fixtures.ts'
import { targetOf } from './target.ts'

const kept = (n: number, version: string) =>
  revisionOf(deploymentOf(directSpecOf(`https://models.example/${n}.onnx`)), version, `2026-01-0${n}T00:00:00Z`)
const asking = (to: string) => deploymentOf(directSpecOf('https://models.example/9.onnx', { rollback: { to } }))
const revisions = [kept(1, 'v1'), kept(2, 'v2'), kept(3, 'v2')]
const names = revisions.map((r) => r.metadata.name)

test('without rollback.to an object asks for its own spec', () => {
  const hash = revisionHash(asking('').spec)
  expect(targetOf(asking(''), revisions)).toEqual({ kind: 'Revision', hash, revision: `fraud-${hash}` })
})

test('rollback.to names a kept revision by its version or its name', () => {
  expect(targetOf(asking('v1'), revisions)).toMatchObject({ kind: 'Revision', revision: names[0] })
  expect(targetOf(asking(names[1] ?? ''), revisions)).toMatchObject({ kind: 'Revision', revision: names[1] })
})

test('a version that two kept revisions have is refused with both names, not guessed', () => {
  expect(targetOf(asking('v2'), revisions)).toEqual({
    kind: 'Missing',
    message: `spec.rollback.to is "v2", a version that several kept revisions have; name one of: v2 (${names[2]}), v2 (${names[1]}).`,
  })
})

test('what is not kept is refused with what is', () => {
  expect(targetOf(asking('v0'), revisions)).toMatchObject({
    kind: 'Missing',
    message: expect.stringMatching(/^spec\.rollback\.to is "v0", which is no kept revision; kept are: v2 /),
  })
})
