/**
 * The description of one model's addresses as OpenAPI 3.1, made from the model's own signature: its names, datatypes and
 * shapes, with an example that works when it is sent. Pure.
 *
 * @see https://spec.openapis.org/oas/v3.1.1.html
 */
import { elementCount, zeros, type Datatype, type Signature, type TensorSpec } from '../tensor.ts'
import { JsonWriter } from './json/writer.ts'

export interface Described {
  readonly name: string
  readonly version: string
  readonly signature: Signature
  /** Inputs with sizes that the model is known to run on; undefined when none are. */
  readonly example: readonly TensorSpec[] | undefined
}

/** Examples with more elements than this are not repeated in the description: it names their address. */
const maxInlineElements = 2000
/** No example is made of inputs with more elements than this: writing it would hold up the HTTP thread. */
const maxExampleElements = 1_000_000
/** The size of a dynamic dimension in an example when nothing better is known. */
const unknownSize = 1

/**
 * A request that the model answers, as bytes: every element is zero, false or an empty string, as in the self-test.
 * Undefined for inputs that are too large to write out.
 */
export function exampleRequest(model: Described): Uint8Array<ArrayBuffer> | undefined {
  const inputs = exampleInputs(model)
  if (elementsOf(inputs) > maxExampleElements) return undefined
  const writer = new JsonWriter(4096).raw('{"inputs":[')
  inputs.forEach(({ name, datatype, shape }, index) => {
    if (index > 0) writer.raw(',')
    writer.raw('{"name":').string(name).raw(`,"datatype":"${datatype}","shape":`).integers(shape)
    writer
      .raw(',"data":')
      .data(zeros(name, datatype, shape))
      .raw('}')
  })
  return writer.raw(']}').finish()
}

/** The whole description. */
export function openApi(model: Described, serverVersion: string): object {
  const { name, version, signature } = model
  const base = `/v2/models/${encodeURIComponent(name)}`
  const answers = (ok: object): object => ({ '200': ok, default: ref('responses', 'Error') })
  const get = (summary: string, ok: object): object => ({ get: { summary, responses: answers(ok) } })
  return {
    openapi: '3.1.0',
    info: {
      title: name,
      version,
      description: `The model ${name} behind the Open Inference Protocol v2, and the dialects of KServe V1, TensorFlow Serving and TorchServe. Served by Slipway ${serverVersion}.`,
    },
    paths: {
      '/v2/health/live': get('Whether the server lives', jsonOf('Live', { type: 'object' })),
      '/v2/health/ready': get('Whether requests are answered', jsonOf('Ready', { type: 'object' })),
      '/v2': get('The server', jsonOf('Server metadata', { type: 'object' })),
      [base]: get('Inputs and outputs', jsonOf('Model metadata', ref('schemas', 'Metadata'))),
      [`${base}/ready`]: get('Whether the model answers', jsonOf('Ready', { type: 'object' })),
      [`${base}/infer`]: {
        post: {
          summary: 'Ask for a prediction',
          description:
            'Tensors may also be sent and answered in binary: see the extension binary_tensor_data and the header Inference-Header-Content-Length.',
          operationId: 'infer',
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: ref('schemas', 'InferRequest'),
                examples: { works: exampleOf(model, base) },
              },
            },
          },
          responses: answers(jsonOf('The outputs', ref('schemas', 'InferResponse'))),
        },
      },
      [`/v1/models/${encodeURIComponent(name)}:predict`]: {
        post: {
          summary: 'Ask for a prediction as KServe V1 and TensorFlow Serving do',
          operationId: 'predict',
          requestBody: {
            required: true,
            content: { 'application/json': { schema: ref('schemas', 'PredictRequest') } },
          },
          responses: answers(jsonOf('Predictions', { type: 'object' })),
        },
      },
    },
    components: {
      schemas: {
        Metadata: metadataSchema(),
        InferRequest: requestSchema(signature),
        InferResponse: responseSchema(signature),
        PredictRequest: {
          type: 'object',
          description: 'Rows in instances, or columns in inputs; never both.',
          properties: { instances: { type: 'array', minItems: 1 }, inputs: {}, signature_name: { type: 'string' } },
        },
        Error: { type: 'object', required: ['error'], properties: { error: { type: 'string' } } },
      },
      responses: { Error: jsonOf('What was found, and what to do', ref('schemas', 'Error')) },
    },
  }
}

function exampleOf(model: Described, base: string): object {
  const summary = 'A request that works as it stands'
  const inline = elementsOf(exampleInputs(model)) <= maxInlineElements ? exampleRequest(model) : undefined
  if (inline === undefined) return { summary, externalValue: `${base}/example` }
  return { summary, value: JSON.parse(Buffer.from(inline).toString()) as unknown }
}

function exampleInputs({ signature, example }: Described): readonly TensorSpec[] {
  if (example !== undefined) return example
  return signature.inputs.map((spec) => ({
    ...spec,
    shape: spec.shape.map((size) => (size === -1 ? unknownSize : size)),
  }))
}

function elementsOf(inputs: readonly TensorSpec[]): number {
  return inputs.reduce((sum, { shape }) => sum + elementCount(shape), 0)
}

function requestSchema({ inputs, outputs }: Signature): object {
  return {
    type: 'object',
    required: ['inputs'],
    properties: {
      id: { type: 'string', description: 'Echoed in the answer.' },
      parameters: parametersSchema(
        'Parameters of the request, such as priority, timeout (microseconds) and binary_data_output.',
      ),
      inputs: {
        type: 'array',
        minItems: inputs.length,
        maxItems: inputs.length,
        items: { oneOf: inputs.map((spec) => tensorSchema(spec)) },
      },
      outputs: {
        type: 'array',
        description: 'The outputs wanted; leave it out to get all.',
        items: {
          type: 'object',
          required: ['name'],
          properties: {
            name: { enum: outputs.map(({ name }) => name) },
            parameters: parametersSchema('binary_data (true or false) and classification (how many classes).'),
          },
        },
      },
    },
  }
}

function responseSchema({ outputs }: Signature): object {
  return {
    type: 'object',
    required: ['model_name', 'outputs'],
    properties: {
      model_name: { type: 'string' },
      model_version: { type: 'string' },
      id: { type: 'string' },
      outputs: { type: 'array', items: { oneOf: outputs.map((spec) => tensorSchema(spec)) } },
    },
  }
}

function metadataSchema(): object {
  const tensors = {
    type: 'array',
    items: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        datatype: { type: 'string' },
        shape: { type: 'array', items: { type: 'integer', minimum: -1 } },
      },
    },
  }
  return {
    type: 'object',
    properties: {
      name: { type: 'string' },
      versions: { type: 'array', items: { type: 'string' } },
      platform: { type: 'string' },
      inputs: tensors,
      outputs: tensors,
    },
  }
}

function tensorSchema({ name, datatype, shape }: TensorSpec): object {
  return {
    type: 'object',
    required: ['name', 'datatype', 'shape', 'data'],
    properties: {
      name: { const: name },
      datatype: { const: datatype },
      shape: {
        type: 'array',
        prefixItems: shape.map((size) => (size === -1 ? { type: 'integer', minimum: 0 } : { const: size })),
        minItems: shape.length,
        maxItems: shape.length,
      },
      data: {
        type: 'array',
        description: 'Row-major, flat or nested as the shape says. NaN, Infinity and -Infinity are bare tokens.',
        items: { anyOf: [elementSchema(datatype), { type: 'array' }] },
      },
    },
  }
}

function elementSchema(datatype: Datatype): object {
  if (datatype === 'BYTES') return { type: 'string' }
  if (datatype === 'BOOL') return { type: 'boolean' }
  return { type: datatype.startsWith('FP') ? 'number' : 'integer' }
}

function jsonOf(description: string, schema: object): object {
  return { description, content: { 'application/json': { schema } } }
}

function ref(kind: 'schemas' | 'responses', name: string): object {
  return { $ref: `#/components/${kind}/${name}` }
}

function parametersSchema(description: string): object {
  return {
    type: 'object',
    description,
    additionalProperties: { type: ['string', 'number', 'boolean'] },
  }
}
