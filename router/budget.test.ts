import { describe, expect, test } from '@jest/globals'
import { filesOf, withinBudget } from './budget.ts'
import { setting } from './fixtures.ts'
import type { Setting } from './model.ts'
import type { Decision } from './setting.ts'

const [stable, canary] = setting.revisions
const named = (name: string, revisions: Setting['revisions']): Setting => ({ ...setting, name, uid: name, revisions })
const alone = (name: string): Setting => named(name, stable ? [stable] : [])
const inCanary = (name: string): Setting => named(name, stable && canary ? [stable, canary] : [])
const asked = (...settings: Setting[]): Decision[] => settings.map((one) => ({ asked: one, serve: one }))
const known = (...settings: Setting[]): Map<string, Setting> => new Map(settings.map((one) => [one.uid, one]))

describe('the files that Envoy follows', () => {
  test('are one for the routes and one for each revision and protocol, the shadow too', () => {
    expect([filesOf(alone('a')), filesOf(inCanary('a'))]).toEqual([3, 5])
    expect(filesOf({ ...alone('a'), mirror: { revision: 'x', perMille: 10 } })).toBe(5)
  })

  test('a model that does not fit is not served, and the first by name are', () => {
    const decisions = withinBudget(asked(alone('a'), alone('b'), alone('c')), known(), 7)
    expect(decisions.map(({ serve }) => serve?.name)).toEqual(['a', 'b', undefined])
    expect(decisions[2]?.problem).toBe(
      'Envoy can follow 7 files on this node, 6 are in use, and this model needs 3 more; raise fs.inotify.max_user_instances on the nodes, or move models to another namespace',
    )
  })

  test('what is applied goes before what is new, whatever its name', () => {
    const decisions = withinBudget(asked(alone('a'), alone('z')), known(alone('z')), 4)
    expect(decisions.map(({ serve }) => serve?.name)).toEqual([undefined, 'z'])
  })

  test('a model whose canary does not fit keeps what it had, and says so', () => {
    const decisions = withinBudget(asked(inCanary('a'), alone('b')), known(alone('a'), alone('b')), 7)
    expect(decisions.map(({ serve }) => serve?.revisions.length)).toEqual([1, 1])
    expect(decisions[0]?.problem).toContain('needs 2 more')
    expect(decisions[1]?.problem).toBeUndefined()
  })

  test('a model that shrinks makes room', () => {
    const decisions = withinBudget(asked(alone('a'), alone('b')), known(inCanary('a')), 6)
    expect(decisions.map(({ problem }) => problem)).toEqual([undefined, undefined])
  })
})
