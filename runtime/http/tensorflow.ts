/**
 * What KServe V1 and TensorFlow Serving tell of models: one address serves both, with both shapes in one object.
 */
import type { Express } from 'express'
import { Fault } from '../errors.ts'
import type { ModelRef } from '../protocols/routes.ts'
import { tfMetadata, versionStatus, type VersionState } from '../protocols/tfmetadata.ts'
import type { LiveVersion, VersionPhase } from '../version.ts'
import { sendFault, sendJson } from './answer.ts'
import { describe, type AppContext } from './app.ts'
import { findVersion } from './find.ts'
import { reads } from './methods.ts'

type Params = ModelRef & Record<string, string>

export function tensorflowRoutes(app: Express, { models, state }: AppContext): void {
  reads(app, '/v1/models', (_request, response) => sendJson(response, 200, { models: [models.name] }))
  for (const base of ['/v1/models/:model', '/v1/models/:model/versions/:version', '/v1/models/:model/labels/:label']) {
    reads<Params>(app, base, ({ params }, response) => {
      const found = findVersion(models, 'v1', params)
      if (found instanceof Fault) return sendFault(response, found)
      const ready = !state.draining && found.health().ready
      const named = params.version === undefined && params.label === undefined ? models.list() : [found]
      // KServe's clients take 503 for "not ready yet", and TensorFlow's read the states either way.
      return sendJson(response, ready ? 200 : 503, {
        name: found.name,
        ready,
        model_version_status: named.map(statusOf),
      })
    })
    reads<Params>(app, `${base}/metadata`, ({ params }, response) => {
      describe(models, 'v1', params, response, ({ name, version }, signature) => tfMetadata(name, version, signature))
    })
  }
}

function statusOf({ version, phase }: LiveVersion): object {
  return versionStatus({
    version,
    state: states[phase.name],
    error: phase.name === 'Failed' ? phase.reason : undefined,
  })
}

const states: Readonly<Record<VersionPhase['name'], VersionState>> = {
  Loading: 'LOADING',
  Serving: 'AVAILABLE',
  Failed: 'END',
  Retired: 'UNLOADING',
}
