// Asks every listener for the version of its routes. Envoy's own readiness does not say that anything listens.
import { request } from 'undici'
import { probePath } from './xds/routes.ts'

const deadlineMs = 2000

/** @returns which listener does not answer as it has to, or undefined */
export const probe = async (
  served: readonly { readonly port: number; readonly version: string | undefined }[],
): Promise<string | undefined> => {
  for (const { port, version } of served) {
    const answer = await ask(port)
    if (answer !== version) return `the listener on port ${port} answers ${answer}, not ${version}`
  }
  return undefined
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
