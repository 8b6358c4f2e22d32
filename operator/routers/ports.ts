// Which port each ModelDeployment has on the routers of its namespace. status.traffic.port is the record; this only
// sees to it that no two objects are ever given the same one. It must never take a port away from an object that has it.
import { listenerPorts } from '../api/routerstate.ts'

/** An object, as far as its port concerns anybody. */
export interface Holder {
  readonly uid: string
  readonly name: string
  readonly port?: number | undefined
}

/** Who holds which port, by uid. */
export type Ports = ReadonlyMap<number, string>

/**
 * A port that nobody holds, or undefined when all are held. The same name gets the same port where it can, so that an
 * object made again is where it was, and a port that has just been let go is seldom given to somebody else.
 */
export const freePort = (name: string, taken: Ports): number | undefined => {
  const { first, last } = listenerPorts
  const count = last - first + 1
  const start = hashOf(name) % count
  for (let i = 0; i < count; i++) {
    const port = first + ((start + i) % count)
    if (!taken.has(port)) return port
  }
  return undefined
}

/** FNV-1a: spreads names, and is the same in every release. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}

/**
 * The ports of one namespace in this process. Only the leader gives ports away, so what it read once from the API
 * server itself, and what it has given since, is all there is; its cache may lag behind both.
 */
export class PortBook {
  readonly #holders = new Map<number, string>()
  readonly #ports = new Map<string, number>()

  /** @param holders all objects of the namespace, read from the API server after this process became the leader */
  constructor(holders: readonly Holder[]) {
    for (const { uid, port } of holders) if (port !== undefined && !this.#holders.has(port)) this.#give(port, uid)
  }

  /**
   * The object's port: its own, the one that it was given before, or a new one.
   * @returns undefined when every port is held
   */
  portOf({ uid, name, port }: Holder): number | undefined {
    if (port !== undefined && (this.#holders.get(port) ?? uid) === uid) return this.#give(port, uid)
    const given = this.#ports.get(uid)
    if (given !== undefined) return given
    const free = freePort(name, this.#holders)
    return free === undefined ? undefined : this.#give(free, uid)
  }

  /** The object is gone, or has no port any more: what it held is free. */
  release(uid: string): void {
    const port = this.#ports.get(uid)
    if (port === undefined) return
    this.#ports.delete(uid)
    this.#holders.delete(port)
  }

  #give(port: number, uid: string): number {
    if (this.#ports.get(uid) !== port) this.release(uid)
    this.#holders.set(port, uid)
    this.#ports.set(uid, port)
    return port
  }
}
