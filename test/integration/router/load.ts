// Clients of a router: a bounded number of requests over kept-alive connections, and what became of each.
import { Pool } from 'undici'
import { countInterval } from '../../kit/binomial.ts'

export interface Answer {
  readonly status: number
  /** The revision that answered; empty when the router did itself. */
  readonly revision: string
  readonly body: string
  readonly ms: number
}

export interface Asked {
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  readonly allowH2?: boolean
}

export interface Client {
  ask(asked?: Asked): Promise<Answer>
  /** `count` requests, `workers` at a time, without a retry. */
  many(count: number, workers?: number, asked?: (index: number) => Asked): Promise<Answer[]>
  /** Asks until `until` has come to its end. */
  during<T>(until: Promise<T>, workers?: number, asked?: Asked): Promise<Answer[]>
  close(): Promise<void>
}

export const openClient = (port: number, { h2c = false } = {}): Client => {
  const pool = new Pool(`http://127.0.0.1:${port}`, {
    connections: h2c ? 4 : 16,
    pipelining: h2c ? 16 : 1,
    ...(h2c && { allowH2: true, useH2c: true }),
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
  })
  const ask: Client['ask'] = async ({ path = '/v2/models/fraud/infer', headers = {}, body } = {}) => {
    const startedAt = performance.now()
    try {
      const answer = await pool.request({
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers,
        body: body ?? null,
      })
      const text = await answer.body.text()
      const revision = answer.headers['x-slipway-revision']
      return {
        status: answer.statusCode,
        revision: typeof revision === 'string' ? revision : '',
        body: text,
        ms: performance.now() - startedAt,
      }
    } catch (error) {
      // A connection that broke is an answer that was lost: status 0.
      return { status: 0, revision: '', body: String(error), ms: performance.now() - startedAt }
    }
  }
  return {
    ask,
    many: async (count, workers = 8, asked = () => ({})) => {
      const answers: Answer[] = []
      let next = 0
      const work = async (): Promise<void> => {
        while (next < count) answers.push(await ask(asked(next++)))
      }
      await Promise.all(Array.from({ length: workers }, work))
      return answers
    },
    during: async (until, workers = 8, asked = {}) => {
      const answers: Answer[] = []
      const over = new AbortController()
      const ending = until.finally(() => over.abort())
      const work = async (): Promise<void> => {
        // After a test that has taken too long the client is closed: without a look at that this would turn for ever.
        while (!over.signal.aborted && !pool.destroyed) answers.push(await ask(asked))
      }
      await Promise.all([ending, ...Array.from({ length: workers }, work)])
      return answers
    },
    close: () => pool.destroy(),
  }
}

/** Answers that are not 200, in words; empty when all is well. */
export const failures = (answers: readonly Answer[]): string[] =>
  answers.filter(({ status }) => status !== 200).map(({ status, body }) => `${status} ${body}`)

/** How many answers came from each revision. */
export const countOf = (answers: readonly Answer[], revision: string): number =>
  answers.filter((answer) => answer.revision === revision).length

/**
 * The counts that a share may give: all but one draw in a million lie between, so that chance does not fail a test.
 * The narrow proof, with more requests, is `npm run bench:router`.
 */
export const chanceInterval = (n: number, p: number): readonly [low: number, high: number] => countInterval(n, p, 1e-6)
