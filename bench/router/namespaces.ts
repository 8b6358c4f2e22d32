// Network namespaces on a bridge, as pods on a node have them, for a measurement. Needs root and `ip`.
import { run } from '../../test/cluster/commands.ts'

export interface Place {
  readonly address: string
  /** What starts a program there. */
  readonly prefix: readonly string[]
}

export const loopback: Place = { address: '127.0.0.1', prefix: [] }

const bridge = 'slpw-parts'
const net = '10.213.77'

/** @returns one place for each name, and what takes all of them away */
export const makePlaces = async (names: readonly string[]): Promise<{ places: Place[]; remove(): Promise<void> }> => {
  const ip = (...args: string[]): Promise<unknown> => run('ip', args)
  const remove = async (): Promise<void> => {
    // A namespace goes when the last process in it has gone; its end of a pair that is out here goes at once.
    const links = [...names.map((_, i) => `${bridge}${i}`), bridge]
    for (const link of links) await ip('link', 'delete', link).catch(() => {})
    for (const name of names) await ip('netns', 'delete', nameOf(name)).catch(() => {})
  }
  await remove()
  await ip('link', 'add', bridge, 'type', 'bridge')
  await ip('address', 'add', `${net}.1/24`, 'dev', bridge)
  await ip('link', 'set', bridge, 'up')
  const places: Place[] = []
  for (const [i, name] of names.entries()) {
    const [space, address, outside] = [nameOf(name), `${net}.${i + 2}`, `${bridge}${i}`]
    await ip('netns', 'add', space)
    await ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
    await ip('link', 'set', outside, 'master', bridge, 'up')
    await ip('-n', space, 'link', 'set', 'lo', 'up')
    await ip('-n', space, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    await ip('-n', space, 'link', 'set', 'eth0', 'up')
    places.push({ address, prefix: ['ip', 'netns', 'exec', space] })
  }
  return { places, remove }
}

const nameOf = (name: string): string => `slipway-parts-${name}`
