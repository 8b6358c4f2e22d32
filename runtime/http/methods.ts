/**
 * Routes on express that refuse every other method by 405, with `Allow`, as the hand-written ones do.
 */
import type { Express, RequestHandler } from 'express'
import { fault } from '../errors.ts'
import { sendFault } from './answer.ts'

/** Answers GET and HEAD at a path. */
export function reads<Params>(app: Express, path: string, handler: RequestHandler<Params>): void {
  app.get(path, handler)
  refuseOthers(app, path, 'GET', 'GET, HEAD')
}

/** Answers POST at a path. */
export function posts(app: Express, path: string, handler: RequestHandler): void {
  app.post(path, handler)
  refuseOthers(app, path, 'POST', 'POST')
}

function refuseOthers(app: Express, path: string, allowed: string, allow: string): void {
  app.all(path, ({ method, path: found }, response) => {
    response.setHeader('allow', allow)
    sendFault(response, fault('MethodNotAllowed', { method, path: found, allowed }))
  })
}
