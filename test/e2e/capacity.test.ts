// Room that is not there, on a real node: the numbers are told, users are served on, and the rollout goes on by itself
// when room comes. Devices are fake, the kubelet that counts them is real; where the cluster is somebody else's they are
// written into its node's status, as a kubelet would.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { nodePaths } from '../cluster/node.ts'
import { startDevicePlugin, type DevicePlugin } from '../deviceplugin/plugin.ts'
import { e2e, type E2E } from '../kit/e2e.ts'
import { applyModel, conditionOf, serves, waitForModel } from '../kit/model.ts'
import { startStream } from '../kit/stream.ts'

const gpu = 'slipway.test/gpu'
const request = readFileSync('examples/silero/request.json', 'utf8')

let world: E2E
let node = ''
let plugin: DevicePlugin | undefined
beforeAll(async () => {
  world = await e2e('capacity')
  const nodes = await world.shell.kubectl(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}'])
  node = nodes.split(' ')[0] ?? ''
})
afterAll(async () => {
  await offer(0)
  await plugin?.close()
  await world.close()
})

/** The node has so many of the device from now on. */
const offer = async (count: number): Promise<void> => {
  const { dir } = world.cluster
  if (dir !== undefined) {
    plugin ??= await startDevicePlugin(nodePaths(dir, { name: node }).kubeletRoot, gpu, count)
    plugin.offer(count)
    return
  }
  const quantity = { [gpu]: String(count) }
  const patch = JSON.stringify({ status: { capacity: quantity, allocatable: quantity } })
  await world.shell.kubectl(['patch', 'node', node, '--subresource=status', '--type=merge', '-p', patch])
}

const needing = (version: string, rest: object = {}) => ({
  model: { uri: `${world.store}/models/silero_vad_${version}.onnx`, version },
  resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi', [gpu]: 1 } },
  traffic: { mode: 'Direct' },
  rollout: { strategy: 'BlueGreen', keepPreviousFor: '1s', deadlines: { provision: '60s' } },
  ...rest,
})

const waitFor = (what: string, claim: Parameters<typeof waitForModel>[4]) =>
  waitForModel(world.shell, world.namespace, 'vad', what, claim)

/** Stalled for want of room, in these words. */
const outOfRoom = async (what: string): Promise<string> => {
  const model = await waitFor(what, (m) => {
    const stalled = conditionOf(m, 'Stalled')
    return stalled?.status === 'True' && stalled.reason === 'InsufficientCapacity' && stalled.message.includes('Free: ')
  })
  return conditionOf(model, 'Stalled')?.message ?? ''
}

describe('a model that asks for devices', () => {
  test('waits with the numbers while no node has any, and starts when the device plugin comes', async () => {
    await applyModel(world.shell, world.namespace, 'vad', needing('v5'))
    expect(await outOfRoom('out of room')).toContain(`asks for 1 ${gpu}`)
    expect(await outOfRoom('out of room')).toContain(`${node} no ${gpu}`)
    await offer(1)
    const { status } = await waitFor('Ready with v5', serves('v5'))
    expect(status?.rejected ?? []).toEqual([])
    if (world.cluster.owned) expect(plugin?.allocated).toEqual(['fake-0'])
  })

  test('a new version that needs a second one waits while users are served, and goes on when there are two', async () => {
    const stream = await startStream(world.shell, world.namespace, 'stream', world.images.modelstore, {
      url: 'http://vad/v2/models/vad/infer',
      request,
      rate: 20,
      seconds: 300,
      keepAlive: false,
    })
    await applyModel(world.shell, world.namespace, 'vad', needing('v6'))
    const message = await outOfRoom('out of room for a second')
    expect(message).toContain(`${node} 0 of 1 ${gpu}`)
    expect(message).toContain('keeps serving.')
    const events = await world.shell.kubectl(['get', 'events', '-n', world.namespace, '--field-selector=type=Warning'])
    expect(events).toContain('InsufficientCapacity')
    await offer(2)
    await waitFor('Ready with v6', serves('v6'))
    const { failed, failures } = await stream.stop()
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] })
  })

  test('with device GPU a pod gets one by the name in spec.runtime.gpuResource, and is not ready on a CPU', async () => {
    const { limits: _, ...resources } = needing('v5').resources
    const spec = needing('v5', {
      runtime: { device: 'GPU', gpuResource: gpu },
      resources,
    })
    await applyModel(world.shell, world.namespace, 'vad', spec)
    const model = await waitFor('rejected: there is no real GPU', (m) => {
      return conditionOf(m, 'Stalled')?.status === 'True' && conditionOf(m, 'Ready')?.reason === 'GpuUnavailable'
    })
    expect(conditionOf(model, 'Stalled')?.message).toContain('a GPU was asked for')
    expect(conditionOf(model, 'Available')?.status).toBe('True')
    if (world.cluster.owned) expect(plugin?.allocated.length).toBeGreaterThan(2)
  })
})
