// What `helm test` runs in its pod: serves a tiny model, waits until the ModelDeployment that points to it answers,
// and asks it for a sum. Node alone, no package. It ends with 0 only after a right answer.
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** A model that says `sum = a + b` for vectors of floats, written as ONNX's protobuf by hand. */
export function addModel() {
  const bytes = (field, ...parts) => {
    const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
    return Buffer.concat([Buffer.from([(field << 3) | 2, body.length]), body])
  }
  const integer = (field, value) => Buffer.from([field << 3, value])
  // ValueInfoProto: name, and the type: a tensor of floats (1) with one dimension called n.
  const vector = (field, name) =>
    bytes(field, bytes(1, name), bytes(2, bytes(1, integer(1, 1), bytes(2, bytes(1, bytes(2, 'n'))))))
  const node = bytes(1, bytes(1, 'a'), bytes(1, 'b'), bytes(2, 'sum'), bytes(4, 'Add'))
  const graph = bytes(7, node, bytes(2, 'add'), vector(11, 'a'), vector(11, 'b'), vector(12, 'sum'))
  const opset = bytes(8, integer(2, 17))
  return Buffer.concat([integer(1, 8), graph, opset])
}

const a = [1, 2, 3]
const b = [10, 20, 30]
const expected = [11, 22, 33]

/** The request in the Open Inference Protocol. */
const request = {
  inputs: [
    { name: 'a', datatype: 'FP32', shape: [3], data: a },
    { name: 'b', datatype: 'FP32', shape: [3], data: b },
  ],
}

/** Asks once. Gives what answered, or throws with what came instead. */
export async function predict(address, model) {
  const answer = await fetch(`${address}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(10_000),
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`HTTP ${answer.status}: ${text.slice(0, 500)}`)
  const { outputs = [], model_version: version } = JSON.parse(text)
  const data = outputs.find(({ name }) => name === 'sum')?.data
  const right = JSON.stringify(data) === JSON.stringify(expected)
  if (!right) throw new Error(`a wrong answer: ${JSON.stringify(data)} instead of ${JSON.stringify(expected)}`)
  return { data, version, revision: answer.headers.get('x-slipway-revision') }
}

/** Serves the model on a port until close() is called on the server it gives. */
export async function serveModel(port, log = console.log) {
  const model = addModel()
  const server = createServer((asked, answer) => {
    const found = asked.url === '/add.onnx'
    log(`${asked.method} ${asked.url}: ${found ? 200 : 404}`)
    answer.writeHead(found ? 200 : 404, { 'content-length': found ? model.length : 0 })
    answer.end(found && asked.method !== 'HEAD' ? model : undefined)
  })
  await new Promise((resolve) => server.listen(port, resolve))
  return server
}

async function main() {
  const { MODEL, NAMESPACE, ADDRESS, TIMEOUT_SECONDS = '240', PORT = '8080' } = process.env
  const server = await serveModel(Number(PORT))
  const deadline = Date.now() + Number(TIMEOUT_SECONDS) * 1000
  let last = ''
  while (Date.now() < deadline) {
    try {
      const { data, version, revision } = await predict(ADDRESS, MODEL)
      console.log(
        `${a.join(' ')} + ${b.join(' ')} = ${data.join(' ')}, says version ${version} of ${MODEL} (revision ${revision})`,
      )
      server.closeAllConnections()
      server.close()
      return
    } catch (error) {
      const seen = `no prediction yet: ${error.cause?.message ?? error.message}`
      if (seen !== last) console.log(seen)
      last = seen
      await sleep(1000)
    }
  }
  console.error(
    `${ADDRESS} gave no prediction within ${TIMEOUT_SECONDS} s; the last try: ${last}. ` +
      `See why: kubectl -n ${NAMESPACE} describe modeldeployment ${MODEL}`,
  )
  process.exit(1)
}

if (import.meta.main) await main()
