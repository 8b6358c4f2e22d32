// Asks a listener for the version of its routes. Envoy's own readiness does not say that anything listens, and it
// applies the routes of a new listener before it listens there.
import { request } from 'undici'
import { probePath } from './xds/routes.ts'

const deadlineMs = 2000

/** @returns what the listener answers instead of the version, or undefined */
export const probe = async (port: number, version: string): Promise<string | undefined> => {
  const answer = await ask(port)
  return answer === version ? undefined : `the listener on port ${port} answers ${answer}, not ${version}`
}

const ask = async (port: number): Promise<string> => {
  try {
    const { body } = await request(`http://127.0.0.1:${port}${probePath}`, {
      headersTimeout: deadlineMs,
      bodyTimeout: deadlineMs,
      reset: true,
    })
    return await body.text()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
