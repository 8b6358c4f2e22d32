// Asks a node's kernel whether it is there, by a connection to one of its pods that is closed at once.
import { connect } from 'node:net'

/** How long an answer may take: the kernel repeats a lost SYN after a second. */
export const knockMs = 1000

/**
 * Whether anything came back in time. A refusal is an answer: the node is there, and what ails the pod its kubelet sees.
 * No program has to run for it, so a machine that is only slow answers too.
 */
export const knock = (address: string, port: number, timeoutMs: number = knockMs): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port })
    const end = (isAnswered: boolean): void => {
      clearTimeout(late)
      socket.destroy()
      resolve(isAnswered)
    }
    const late = setTimeout(() => end(false), timeoutMs)
    socket.once('connect', () => end(true))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET'),
    )
  })
