import { expect, test } from '@jest/globals'
import { entriesOf, refusalIn } from './log.ts'

const start =
  '[2026-11-26 19:22:04.956][11][warning][config] [source/extensions/config_subscription/grpc/delta_subscription_state.cc:282] delta config for type.googleapis.com/x.RouteConfiguration'

test('the reason of a refusal is told without the configuration that Envoy prints before it', () => {
  const text = `${start} rejected: goo.gle/debugonly\nname: "m"\nroutes {\n}\n: Proto validation failed (x)\n[2026-11-26 19:22:05.000][11][warning][main] another\n`
  const entries = entriesOf(text)
  expect(entries).toHaveLength(2)
  expect(entries.map(refusalIn)).toEqual(['Proto validation failed (x)', undefined])
})

test('a reason of several lines is one sentence', () => {
  const [entry = ''] = entriesOf(`${start} rejected: Error adding listener(s) a:\n  cannot bind\n`)
  expect(refusalIn(entry)).toBe('Error adding listener(s) a: cannot bind')
})
