/**
 * Triton's extensions beside inference: configuration, statistics, the repository's index. What would change the server
 * from outside is answered with who does that here instead.
 *
 * @see https://github.com/triton-inference-server/server/tree/main/docs/protocol
 */
import type { Express, RequestHandler } from 'express'
import { Fault, fault } from '../errors.ts'
import type { ModelRef } from '../protocols/routes.ts'
import { tritonConfig } from '../protocols/tritonconfig.ts'
import type { LiveVersion } from '../version.ts'
import { sendFault, sendJson } from './answer.ts'
import { describe, type AppContext } from './app.ts'
import { findVersion } from './find.ts'
import { posts, reads } from './methods.ts'

type Params = ModelRef & Record<string, string>

export function tritonRoutes(app: Express, { models }: AppContext): void {
  reads(app, '/v2/models/stats', (_request, response) => sendJson(response, 200, statisticsOf(models.list())))
  for (const base of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    reads<Params>(app, `${base}/config`, ({ params }, response) => {
      describe(models, 'oip', params, response, ({ name, pool }, signature) =>
        tritonConfig({ name, signature, workers: pool.size, maxBatch: pool.batching.maxSize }),
      )
    })
    reads<Params>(app, `${base}/stats`, ({ params }, response) => {
      const found = findVersion(models, 'oip', params)
      if (found instanceof Fault) return sendFault(response, found)
      const named = params.version === undefined ? models.list() : [found]
      return sendJson(response, 200, statisticsOf(named))
    })
  }

  posts(app, '/v2/repository/index', (_request, response) => {
    sendJson(response, 200, models.list().map(indexEntry))
  })
  for (const action of ['load', 'unload']) {
    posts(app, `/v2/repository/models/:model/${action}`, (_request, response) => {
      sendFault(response, fault('RepositoryControl', {}))
    })
  }
  const absent = (extension: string): RequestHandler => {
    return (_request, response) => sendFault(response, fault('TritonExtension', { extension }))
  }
  for (const path of ['/v2/trace/setting', '/v2/models/:model/trace/setting']) app.all(path, absent('trace'))
  app.all('/v2/logging', absent('logging'))
  for (const [path, extension] of [
    ['systemsharedmemory', 'system_shared_memory'],
    ['cudasharedmemory', 'cuda_shared_memory'],
  ] as const) {
    // Nothing is registered, which is what their clients ask before and after a run.
    reads(app, `/v2/${path}/status`, (_request, response) => sendJson(response, 200, []))
    posts(app, `/v2/${path}/unregister`, (_request, response) => sendJson(response, 200, {}))
    app.all(`/v2/${path}/region/:name/:action`, absent(extension))
  }
}

export function statisticsOf(versions: readonly LiveVersion[]): object {
  return {
    model_stats: versions.map(({ name, version, statistics, cache }) => ({
      name,
      version,
      ...statistics.report(cache?.figures),
    })),
  }
}

export function indexEntry({ name, version, phase }: LiveVersion): object {
  if (phase.name === 'Serving') return { name, version, state: 'READY' }
  if (phase.name === 'Loading') return { name, version, state: 'LOADING', reason: phase.doing }
  if (phase.name === 'Failed') return { name, version, state: 'UNAVAILABLE', reason: phase.reason }
  return { name, version, state: 'UNLOADING' }
}
