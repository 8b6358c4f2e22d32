// An HTTP server of model files, honest under /models and faulty under /faults in the ways real servers are.
// For the demo and the tests only: it must never be reachable from outside a cluster or loopback.
import express, { type Express, type Request, type Response } from 'express'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join, normalize } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * `GET /models/<file>` with Range and validators, `/healthz`, and under `/faults`:
 * `hang`, `reset`, `html`, `redirect?to=`, `loop`, `<status>`, `slow/<file>?bytesPerSecond=`,
 * `truncate/<file>?times=&range=ignore&then=<other file>`, `nolength/<file>`, `gzip/<file>`, and `held/<file>?after=`:
 * so many requests are answered at once, those after them get a byte now and then until `release/<file>` is asked for.
 * @param folder of the files
 */
export function createStore(folder: string): Express {
  const store = express()
  store.disable('x-powered-by')
  /** How often each truncating address has cut a connection. */
  const cuts = new Map<string, number>()
  /** How often each held address was asked for, and files that are held no longer. */
  const [held, released] = [new Map<string, number>(), new Set<string>()]
  const pathOf = (name: string): string => join(folder, normalize(`/${name}`))
  const send = (response: Response, name: string): void => response.sendFile(pathOf(name), { dotfiles: 'deny' })

  store.get('/healthz', (_request, response) => void response.send('ok\n'))
  store.use('/models', express.static(folder, { index: false, dotfiles: 'deny', fallthrough: false }))

  const faults = express.Router()
  faults.get('/hang', () => {
    // On purpose: the connection is taken and nothing is ever said.
  })
  faults.get('/reset', ({ socket }) => void socket.resetAndDestroy())
  faults.get('/html', (_request, response) => {
    response.type('html').send('<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>\n')
  })
  faults.get('/redirect', ({ query: { to } }, response) => response.redirect(302, typeof to === 'string' ? to : '/'))
  faults.get('/loop', (_request, response) => response.redirect(302, '/faults/loop'))
  faults.get('/slow/*file', async (request, response) => {
    const bytesPerSecond = Number(request.query['bytesPerSecond'] ?? 1000)
    const bytes = await readFile(pathOf(fileOf(request)))
    response.setHeader('content-length', bytes.length)
    const step = Math.max(1, Math.floor(bytesPerSecond / 10))
    for (let at = 0; at < bytes.length && !response.destroyed; at += step) {
      response.write(bytes.subarray(at, at + step))
      await sleep(100)
    }
    response.end()
  })
  faults.get('/held/*file', async (request, response) => {
    const name = fileOf(request)
    const before = held.get(request.originalUrl) ?? 0
    held.set(request.originalUrl, before + 1)
    const bytes = await readFile(pathOf(name))
    response.setHeader('content-length', bytes.length)
    let at = 0
    const holds = (): boolean => before >= Number(request.query['after'] ?? 0) && !released.has(name)
    for (; holds() && !response.destroyed && at < bytes.length - 1; at += 1) {
      response.write(bytes.subarray(at, at + 1))
      await sleep(100)
    }
    response.end(bytes.subarray(at))
  })
  faults.get('/release/*file', (request, response) => {
    released.add(fileOf(request))
    response.send('ok\n')
  })
  faults.get('/truncate/*file', async (request, response) => {
    const { times = '1', range, then } = request.query
    const name = fileOf(request)
    const cut = cuts.get(request.originalUrl) ?? 0
    if (cut >= Number(times)) {
      if (range === 'ignore') delete request.headers.range
      send(response, typeof then === 'string' ? then : name)
      return
    }
    cuts.set(request.originalUrl, cut + 1)
    const { size, mtime } = await stat(pathOf(name))
    response.writeHead(200, {
      'content-length': size,
      'last-modified': mtime.toUTCString(),
      'content-type': 'application/octet-stream',
    })
    createReadStream(pathOf(name), { end: Math.max(0, Math.floor(size / 2) - 1) })
      .on('end', () => setTimeout(() => response.socket?.destroy(), 20))
      .pipe(response, { end: false })
  })
  faults.get('/nolength/*file', (request, response) => {
    createReadStream(pathOf(fileOf(request))).pipe(response)
  })
  faults.get('/gzip/*file', (request, response) => {
    response.setHeader('content-encoding', 'gzip')
    createReadStream(pathOf(fileOf(request))).pipe(response)
  })
  faults.get('/:status', ({ params }, response) => {
    const status = Number(params.status)
    response.status(status >= 400 && status <= 599 ? status : 404).send('no\n')
  })
  store.use('/faults', faults)
  return store
}

function fileOf({ params }: Request<{ file: string[] }>): string {
  return params.file.join('/')
}
