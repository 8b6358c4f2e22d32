// The page to try a model by hand. It knows only what the server's own addresses say, and puts nothing into the page
// but text: names and answers come from model files and may hold anything.

/** The most values of an output that are listed, highest first. */
const listed = 10
/** Longer requests are not repeated in the shell line. */
const maxShellBytes = 2000

const at = (id) => document.getElementById(id)
const show = (id, text) => (at(id).textContent = text)

const fetchJson = async (path) => {
  const response = await fetch(path)
  const body = await response.json()
  if (!response.ok) throw new Error(body.error ?? `${path} answered ${response.status}`)
  return body
}

const cells = (texts) => {
  const row = document.createElement('tr')
  for (const text of texts) row.append(Object.assign(document.createElement('td'), { textContent: text }))
  return row
}

const printShape = (shape) => `[${shape.map((size) => (size === -1 ? 'any' : size)).join(', ')}]`

const load = async () => {
  const { models } = await fetchJson('v2/models')
  const name = models[0]
  const base = `v2/models/${encodeURIComponent(name)}`
  show('model', name)
  document.title = `Slipway: try ${name}`
  void watchReady()
  const metadata = await fetchJson(base)
  show('version', metadata.versions.join(', '))
  at('signature').replaceChildren(
    ...metadata.inputs.map((spec) => cells(['takes', spec.name, spec.datatype, printShape(spec.shape)])),
    ...metadata.outputs.map((spec) => cells(['gives', spec.name, spec.datatype, printShape(spec.shape)])),
  )
  const answer = await fetch(`${base}/example`)
  // Inputs that are too large to write out have none.
  const example = answer.ok ? await answer.text() : ''
  const { inputs } = answer.ok ? JSON.parse(example) : metadata
  const reset = () => {
    at('request').value = example
    snippets(name, inputs, metadata.outputs)
  }
  reset()
  at('reset').addEventListener('click', reset)
  at('request').addEventListener('input', () => snippets(name, inputs, metadata.outputs))
  at('send').addEventListener('click', () => void send(`${base}/infer`))
}

const watchReady = async () => {
  const response = await fetch('v2/health/ready').catch(() => undefined)
  const pill = at('ready')
  pill.className = `pill ${response?.ok ? 'good' : 'bad'}`
  pill.textContent = response === undefined ? 'not reachable' : response.ok ? 'ready' : 'not ready'
  setTimeout(() => void watchReady(), 5000)
}

const send = async (path) => {
  const button = at('send')
  button.disabled = true
  at('outcome').className = ''
  show('outcome', '…')
  try {
    const started = performance.now()
    const response = await fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: at('request').value,
    })
    const text = await response.text()
    const took = (performance.now() - started).toFixed(1)
    const revision = response.headers.get('x-slipway-revision')
    at('outcome').className = response.ok ? 'good' : 'bad'
    show('outcome', `${response.status} in ${took} ms, answered by ${revision}`)
    showAnswer(text)
  } catch (error) {
    at('outcome').className = 'bad'
    show('outcome', `the server could not be reached: ${error.message}`)
  } finally {
    button.disabled = false
  }
}

const showAnswer = (text) => {
  at('answer').hidden = false
  show('raw', text)
  const answer = parse(text)
  if (answer === undefined)
    return at('outputs').replaceChildren('The answer holds NaN or Infinity: see it whole below.')
  if (answer.error !== undefined) return at('outputs').replaceChildren(answer.error)
  return at('outputs').replaceChildren(...answer.outputs.flatMap(outputTable))
}

/** The answer as an object; undefined where the protocol's NaN and Infinity are in the way. */
const parse = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const outputTable = ({ name, datatype, shape, data }) => {
  const title = document.createElement('h3')
  title.textContent = `${name}: ${datatype} ${printShape(shape)}`
  const order = data.map((_, index) => index)
  if (typeof data[0] === 'number') order.sort((left, right) => data[right] - data[left])
  const table = document.createElement('table')
  table.append(
    ...order.slice(0, listed).map((index) => cells([`[${position(index, shape).join(', ')}]`, String(data[index])])),
  )
  if (order.length > listed) table.append(cells(['…', `${order.length - listed} more`]))
  return [title, table]
}

/** The place of the element in its tensor. */
const position = (index, shape) => {
  const places = []
  let rest = index
  for (const size of shape.toReversed()) {
    places.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return places
}

const snippets = (name, inputs, outputs) => {
  const url = new URL(`v2/models/${encodeURIComponent(name)}`, location.href).href
  const request = at('request').value
  const body =
    request.length > maxShellBytes
      ? `curl -s '${url}/example' | curl -s '${url}/infer' -d @-`
      : `curl -s '${url}/infer' -d '${request.replaceAll("'", String.raw`'\''`)}'`
  show('curl', body)
  const tensors = inputs.map(
    ({ name: input, datatype, shape }) => `(${JSON.stringify(input)}, "${datatype}", [${shape.join(', ')}])`,
  )
  show(
    'python',
    [
      'import numpy as np',
      'import tritonclient.http as http',
      'from tritonclient.utils import triton_to_np_dtype',
      '',
      `client = http.InferenceServerClient(${JSON.stringify(location.host)})`,
      'inputs = []',
      `for name, datatype, shape in [${tensors.join(', ')}]:`,
      '    inputs.append(http.InferInput(name, shape, datatype))',
      '    zero = b"" if datatype == "BYTES" else 0',
      '    inputs[-1].set_data_from_numpy(np.full(shape, zero, triton_to_np_dtype(datatype)))',
      `result = client.infer(${JSON.stringify(name)}, inputs)`,
      ...outputs.map((spec) => `print(result.as_numpy(${JSON.stringify(spec.name)}))`),
    ].join('\n'),
  )
}

try {
  await load()
} catch (error) {
  at('outcome').className = 'bad'
  show('outcome', error.message)
}
