/**
 * Connections end after a while, with the answer they are sending: a client that keeps its connections would otherwise
 * stay with the pods it found first, long after its Service selects others. No request is lost by it: the answer says
 * `Connection: close`, and the client opens the next connection.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

const ends = new WeakMap<Socket, number>()

/** Notes the end of every connection of the server, spread by a fifth so that they do not all come back at once. */
export function limitAge(server: Server, connected: 'connection' | 'secureConnection', maxAgeMs: number): void {
  server.on(connected, (socket: Socket) => {
    ends.set(socket, performance.now() + maxAgeMs * (0.8 + 0.4 * Math.random()))
  })
}

/** Whether the next answer on this connection is its last. */
export function isOverAge(socket: Socket): boolean {
  const end = ends.get(socket)
  return end !== undefined && performance.now() >= end
}
