// A device plugin for tests: it registers devices that do not exist with a real kubelet, which counts them and hands them
// out. A container that gets some finds their names in FAKE_DEVICES. It speaks to the kubelet's own socket, so it needs a
// node of this machine.
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

export interface DevicePlugin {
  /** From now on the node has so many of them, all healthy. */
  offer(count: number): void
  /** Names of the devices that were handed out so far, in order. */
  readonly allocated: readonly string[]
  /** The node has none any more. */
  close(): Promise<void>
}

interface AllocateRequest {
  readonly container_requests: readonly { readonly devices_ids: readonly string[] }[]
}

type Devices = { readonly ID: string; readonly health: string }[]

const apiVersion = 'v1beta1'
const proto = join(import.meta.dirname, 'deviceplugin.proto')

/**
 * @param kubeletRoot the kubelet's root folder, as this process sees it
 * @param resource such as `example.com/gpu`
 */
export const startDevicePlugin = async (
  kubeletRoot: string,
  resource: string,
  count: number,
): Promise<DevicePlugin> => {
  const api = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true, defaults: true }))[apiVersion]
  const { DevicePlugin: service, Registration } = api as unknown as Record<string, grpc.ServiceClientConstructor>
  if (service === undefined || Registration === undefined) throw new Error(`${proto} lacks a service`)
  const folder = join(kubeletRoot, 'device-plugins')
  const endpoint = `${resource.replaceAll(/[^a-z0-9]/g, '-')}.sock`
  const socket = join(folder, endpoint)
  await rm(socket, { force: true })

  let devices: Devices = devicesOf(count)
  const watching = new Set<grpc.ServerWritableStream<object, object>>()
  const allocated: string[] = []
  const server = new grpc.Server()
  server.addService(service.service, {
    GetDevicePluginOptions: (_call: unknown, done: grpc.sendUnaryData<object>) => done(null, {}),
    ListAndWatch: (call: grpc.ServerWritableStream<object, object>) => {
      watching.add(call)
      call.on('close', () => watching.delete(call))
      call.write({ devices })
    },
    Allocate: (call: grpc.ServerUnaryCall<AllocateRequest, object>, done: grpc.sendUnaryData<object>) => {
      const responses = call.request.container_requests.map(({ devices_ids: ids }) => {
        allocated.push(...ids)
        return { envs: { FAKE_DEVICES: ids.join(',') } }
      })
      done(null, { container_responses: responses })
    },
  })
  await new Promise<void>((resolve, reject) => {
    const done = (error: Error | null): void => (error === null ? resolve() : reject(error))
    server.bindAsync(`unix://${socket}`, grpc.ServerCredentials.createInsecure(), done)
  })
  await register(Registration, join(folder, 'kubelet.sock'), { version: apiVersion, endpoint, resource_name: resource })
  return {
    allocated,
    offer: (next) => {
      devices = devicesOf(next)
      for (const call of watching) call.write({ devices })
    },
    close: async () => {
      for (const call of watching) call.write({ devices: [] })
      for (const call of watching) call.end()
      server.forceShutdown()
      await rm(socket, { force: true })
    },
  }
}

const devicesOf = (count: number): Devices =>
  Array.from({ length: count }, (_, index) => ({ ID: `fake-${index}`, health: 'Healthy' }))

const register = (Registration: grpc.ServiceClientConstructor, socket: string, request: object): Promise<void> => {
  // The authority is of no use on a socket, and a path is none.
  const client = new Registration(`unix://${socket}`, grpc.credentials.createInsecure(), {
    'grpc.default_authority': 'localhost',
  })
  return new Promise<void>((resolve, reject) => {
    const deadline = { deadline: Date.now() + 10_000 }
    const call = client['Register'] as (request: object, options: object, done: (error: Error | null) => void) => void
    call.call(client, request, deadline, (error) => (error === null ? resolve() : reject(error)))
  }).finally(() => client.close())
}
