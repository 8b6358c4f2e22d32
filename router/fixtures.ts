// Settings and pods for unit tests.
import type { Endpoints, Setting } from './model.ts'

/** Stable at 900, a canary at 100, and a previous revision that is kept warm. */
export const setting: Setting = {
  name: 'fraud',
  uid: '1a2b3c4d-0000-4000-8000-000000000000',
  model: 'fraud-model',
  port: 20_001,
  epoch: 7,
  timeoutMs: 60_000,
  stable: 'fraud-aaaaaaaaaa',
  revisions: [
    { name: 'fraud-aaaaaaaaaa', version: 'v7', weight: 900 },
    { name: 'fraud-bbbbbbbbbb', version: 'v8', weight: 100 },
    { name: 'fraud-cccccccccc', version: 'v6', weight: 0 },
  ],
}

/** One pod of each revision of the setting. */
export const endpoints: Endpoints = new Map(
  setting.revisions.map(({ name }, i) => {
    const address = `10.0.0.${i + 1}`
    const at = (port: number) => [{ address, port, healthPort: 8080 }]
    return [name, { ready: 1, http: at(8080), grpc: at(9000) }]
  }),
)
