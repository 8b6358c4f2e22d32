/**
 * Every error that a user of the runtime can see: its code, HTTP status, what was found and how to fix it, in one table.
 * No other file may word an error that reaches a user.
 */

interface Row {
  /** What termination messages call it; several rows may share one code. */
  readonly code: string
  /** The HTTP status when a request meets it. */
  readonly status: number
  /** What was found, in words; `{name}` is filled in. */
  readonly found: string
  /** What to do about it. */
  readonly fix: string
  /** Whether the same try may succeed later without any change by the user. */
  readonly retryable?: true
}

const table = {
  // Configuration
  BadConfiguration: { code: 'BadConfiguration', status: 500, found: '{problem}', fix: '{remedy}' },

  BadVersionsFile: {
    code: 'BadConfiguration',
    status: 500,
    found: 'the file of versions {path} cannot be followed: {problem}',
    fix: '{remedy}',
  },

  // Finding and fetching a model file
  UriUnsupported: {
    code: 'UnsupportedUri',
    status: 500,
    found: 'the model URI {uri} has the scheme {scheme}',
    fix: 'use http://, https:// or pvc://claim/path',
  },
  UriInvalid: {
    code: 'UnsupportedUri',
    status: 500,
    found: 'the model URI {uri} cannot be read: {reason}',
    fix: 'write it as https://host/path/model.onnx or pvc://claim/path/model.onnx',
  },
  UriCredentials: {
    code: 'UnsupportedUri',
    status: 500,
    found: 'the model URI {uri} carries a user name or password',
    fix: 'remove it, because everyone who may read the resource would see it, and serve the file from a place this namespace may read',
  },
  RedirectUnsupported: {
    code: 'UnsupportedUri',
    status: 500,
    found: '{url} redirects to {target}',
    fix: 'name an http:// or https:// address that answers the file itself',
  },
  PathEscapes: {
    code: 'UnsupportedUri',
    status: 500,
    found: 'the path {path} leads out of the claim {claim}',
    fix: 'name a file inside the volume, without .. and without links that leave it',
  },
  HttpNotFound: {
    code: 'ModelNotFound',
    status: 500,
    found: 'the server answered {status} for {url}',
    fix: 'check the spelling of spec.model.uri and that the file was uploaded',
  },
  FileNotFound: {
    code: 'ModelNotFound',
    status: 500,
    found: 'there is no file {path} in the claim {claim}',
    fix: 'check the path after the claim name in spec.model.uri and that the file was copied there',
  },
  ModelFileNotFound: {
    code: 'ModelNotFound',
    status: 500,
    found: 'there is no model file {path}',
    fix: 'run the fetch step before this one, with the same SLIPWAY_MODEL_FILE',
  },
  ModelFileIsFolder: {
    code: 'ModelNotFound',
    status: 500,
    found: '{path} is a folder and no model file',
    fix: 'name the file in it',
  },
  HttpForbidden: {
    code: 'ModelForbidden',
    status: 500,
    found: 'the server answered {status} for {url}',
    fix: 'let this cluster read the file, or use an address that needs no login',
  },
  FileForbidden: {
    code: 'ModelForbidden',
    status: 500,
    found: 'the file {path} in the claim {claim} may not be read by uid {uid}',
    fix: 'make it readable for everyone, or set fsGroup in spec.podTemplate',
  },
  Unreachable: {
    code: 'ModelUnreachable',
    status: 500,
    found: '{url} could not be read: {reason} (tried {attempts} times)',
    fix: 'check the host and port, that the server runs, and that a NetworkPolicy lets this namespace reach it',
    retryable: true,
  },
  TooManyRedirects: {
    code: 'ModelUnreachable',
    status: 500,
    found: '{url} redirected more than {limit} times',
    fix: 'name the address that answers the file itself',
  },
  HttpRefused: {
    code: 'ModelUnreachable',
    status: 500,
    found: 'the server answered {status} for {url}',
    fix: 'open the address by hand and correct spec.model.uri',
  },
  EncodedAnswer: {
    code: 'ModelInvalid',
    status: 500,
    found: '{url} answered with content-encoding {encoding} although the plain file was asked for',
    fix: 'let the server send the file as it is',
  },
  DigestMismatch: {
    code: 'DigestMismatch',
    status: 500,
    found: '{source} has the digest {actual}, but {expected} was asked for',
    fix: 'put the original file back, or set spec.model.digest to the digest found if the new file is the one you want',
  },
  FileTooLarge: {
    code: 'ModelTooLarge',
    status: 500,
    found: 'the model at {source} has {size}, and at most {limit} are allowed',
    fix: 'use a smaller model, or raise spec.resources.limits.memory',
  },
  MemoryTooSmall: {
    code: 'ModelTooLarge',
    status: 500,
    found: "the model file has {size}, and the container's memory limit is {limit}",
    fix: 'set spec.resources.limits.memory to {needed} or more, or use a smaller model',
  },
  StorageFull: {
    code: 'StorageFull',
    status: 500,
    found: 'the model needs {size}, and {folder} has {free} free',
    fix: 'free disk space on the node or raise the size limit of the volume',
  },

  // Reading a model file
  ModelIsHtml: {
    code: 'ModelInvalid',
    status: 500,
    found: 'the URL answered a web page (starts with {start})',
    fix: 'use the link that downloads the file itself, often called raw or download, not the page about it',
  },
  ModelEmpty: {
    code: 'ModelInvalid',
    status: 500,
    found: 'the model file is empty',
    fix: 'upload the file again',
  },
  ModelIsSomethingElse: {
    code: 'ModelInvalid',
    status: 500,
    found: 'the file is {kind}, not an ONNX model',
    fix: '{remedy}',
  },
  ModelUnreadable: {
    code: 'ModelInvalid',
    status: 500,
    found: 'ONNX Runtime cannot read the file of {size}: {words}',
    fix: 'it is cut short or not an ONNX model, so compare its size and sha256 with the original and upload it again',
  },
  ModelBroken: {
    code: 'ModelInvalid',
    status: 500,
    found: 'ONNX Runtime refuses the model: {words}',
    fix: 'check the file with onnx.checker.check_model and export it again',
  },
  SelfTestFailed: {
    code: 'ModelInvalid',
    status: 500,
    found: 'the model fails on an input of its own declared shape: {words}',
    fix: 'run it once with onnxruntime where it was made, and export it again',
  },
  WarmupRefused: {
    code: 'BadConfiguration',
    status: 500,
    found: 'the model cannot be warmed up by the request in SLIPWAY_WARMUP_FILE: {words}',
    fix: 'write one that the model answers, such as /v2/models/<name>/example gives, or leave the variable out',
  },
  OperatorUnsupported: {
    code: 'ModelUnsupported',
    status: 500,
    found: 'ONNX Runtime {version} does not know something in the model: {words}',
    fix: 'export it with an older opset (17 is safe) and without custom operators',
  },
  DatatypeUnsupported: {
    code: 'ModelUnsupported',
    status: 500,
    found: 'the {role} {name} has the type {type}, which ONNX Runtime for Node cannot pass',
    fix: 'export the model with float32 or float16 inputs and outputs (in PyTorch: model.float() before the export)',
  },
  NotATensor: {
    code: 'ModelUnsupported',
    status: 500,
    found: 'the {role} {name} is a sequence or map, not a tensor',
    fix: 'export with zipmap=False (skl2onnx: options={"zipmap": False}) or return tensors only',
  },
  ExternalData: {
    code: 'ModelUnsupported',
    status: 500,
    found: 'the model keeps weights in another file: {words}',
    fix: 'save it as one file: onnx.save_model(model, path, save_as_external_data=False)',
  },

  // The GPU that was asked for
  GpuLibraryMissing: {
    code: 'GpuUnavailable',
    status: 500,
    found: 'a GPU was asked for, and there is no {library} in {folder}',
    fix: "use a runtime image that carries ONNX Runtime's CUDA libraries, CUDA 12 and cuDNN 9, or set spec.runtime.device to CPU",
  },
  GpuDriverMissing: {
    code: 'GpuUnavailable',
    status: 500,
    found: 'a GPU was asked for, and no NVIDIA driver can be reached from this container',
    fix: 'check that the node has a GPU and its device plugin runs, and that the container asks for one',
  },
  GpuRefused: {
    code: 'GpuUnavailable',
    status: 500,
    found: 'a GPU was asked for, and ONNX Runtime cannot use it: {words}',
    fix: "check that the driver is new enough for CUDA 12 and that the GPU's memory is large enough for the model",
  },
  GpuUnused: {
    code: 'GpuUnavailable',
    status: 500,
    found: 'a GPU was asked for, and no part of the model ran on it, only on {providers}',
    fix: 'export the model with operators that CUDA has, or set spec.runtime.device to CPU',
  },
  GpuUnproved: {
    code: 'GpuUnavailable',
    status: 500,
    found: 'a GPU was asked for, and no invented input suits the model, so nobody can tell whether the GPU runs it',
    fix: 'declare the sizes of its inputs when exporting it, or set spec.runtime.device to CPU',
  },

  // A request's way to the model
  UnknownPath: {
    code: 'UnknownPath',
    status: 404,
    found: 'there is nothing at {path}',
    fix: 'inference is POST /v2/models/{model}/infer',
  },
  MalformedPath: {
    code: 'MalformedPath',
    status: 400,
    found: 'the path {path} holds a broken percent escape',
    fix: 'encode the model name as one URL segment',
  },
  MethodNotAllowed: {
    code: 'MethodNotAllowed',
    status: 405,
    found: 'Method Not Allowed: {method} on {path}',
    fix: 'use {allowed}',
  },
  UnknownModel: {
    code: 'UnknownModel',
    status: 404,
    found: 'there is no model {found} here',
    fix: 'this server answers for {model}',
  },
  UnknownVersion: {
    code: 'UnknownVersion',
    status: 404,
    found: 'the model {model} has no live version {found}',
    fix: 'the live version is {live}, so ask for that or leave the version out',
  },
  NotReady: {
    code: 'NotReady',
    status: 503,
    found: 'the model {model} is not ready: {reason}',
    fix: 'try again when /v2/health/ready answers 200',
    retryable: true,
  },
  BodyTooLarge: {
    code: 'BodyTooLarge',
    status: 413,
    found: 'the request body has {found}, and at most {limit} are accepted',
    fix: 'send smaller batches',
  },
  TooMuchText: {
    code: 'TooMuchText',
    status: 413,
    found:
      '{field} is more text than this pod reads at once: {eachText} bytes for each element and {eachByte} for each of its bytes may be {limit} together',
    fix: 'send fewer elements in one request, or give the pods more memory in spec.resources',
  },
  BodyMissing: {
    code: 'BodyMissing',
    status: 400,
    found: 'the request has no body',
    fix: 'send {"inputs":[{"name":…,"shape":…,"datatype":…,"data":…}]}',
  },
  BodyEncoded: {
    code: 'BodyEncoded',
    status: 415,
    found: 'the request body has content-encoding {encoding}',
    fix: 'use one of gzip, deflate and zstd, or none',
  },
  BodyBroken: {
    code: 'BodyBroken',
    status: 400,
    found: 'the request body is not whole {coding}: {words}',
    fix: 'compress it again, or send it without content-encoding',
  },
  MediaType: {
    code: 'MediaType',
    status: 415,
    found: 'the request body has content-type {found}',
    fix: 'send application/json or application/octet-stream, and CloudEvents one by one',
  },
  SharedMemoryUnsupported: {
    code: 'SharedMemoryUnsupported',
    status: 501,
    found: '{where} asks for shared memory, which this server does not have',
    fix: 'send tensors in the body (binary_data_size), which costs about as little',
  },
  SequenceUnsupported: {
    code: 'SequenceUnsupported',
    status: 501,
    found: '{where} is for models that keep state between requests, and ONNX models here keep none',
    fix: 'leave it out, and pass the state as an input and an output',
  },
  TextRefused: {
    code: 'InputRefused',
    status: 400,
    found: 'the element {index} of the input "{name}" is {problem}',
    fix: 'send UTF-8 text without U+0000, because ONNX Runtime for Node cannot pass other bytes on whole',
  },
  V1ModelMissing: {
    code: 'V1Malformed',
    status: 400,
    found: 'Missing model name in request {path}',
    fix: 'use /v1/models/<model>:predict',
  },
  V1Malformed: {
    code: 'V1Malformed',
    status: 400,
    found: 'Malformed request: {method} {path}',
    fix: 'use POST /v1/models/<model>:predict',
  },
  V1Version: {
    code: 'UnknownVersion',
    status: 400,
    found: 'Failed to convert version: {found} to numeric, and no live version is called so',
    fix: 'the live versions of {model} are {live}',
  },
  V1Verb: {
    code: 'Unsupported',
    status: 501,
    found: 'this server does not {verb}',
    fix: 'use POST /v1/models/{model}:predict, whose outputs hold all that the model says',
  },
  ExampleTooLarge: {
    code: 'ExampleTooLarge',
    status: 404,
    found: 'the inputs of {model} are too large for an example in JSON',
    fix: 'send binary tensors, of the shapes that GET /v2/models/{model} tells',
  },
  RepositoryControl: {
    code: 'Unsupported',
    status: 501,
    found: 'explicit model load / unload is not allowed: which versions are served is decided by the ModelDeployment',
    fix: 'change spec.model there',
  },
  TritonExtension: {
    code: 'Unsupported',
    status: 501,
    found: 'this server does not have the extension {extension}',
    fix: 'GET /v2 lists those it has',
  },
  V1BodyMissing: {
    code: 'BodyMissing',
    status: 400,
    found: 'the request has no body',
    fix: 'send {"instances":[…]} with one entry per row',
  },
  TorchServeBodyMissing: {
    code: 'BodyMissing',
    status: 400,
    found: 'the request has no body',
    fix: 'send the input as JSON with content-type application/json, or its raw bytes',
  },
  V1BothForms: {
    code: 'V1BothForms',
    status: 400,
    found: 'the body has both "instances" and "inputs"',
    fix: 'send rows in "instances" or columns in "inputs"',
  },
  V1Signature: {
    code: 'V1Signature',
    status: 400,
    found: 'Serving signature name: "{found}" not found in signature def',
    fix: 'leave signature_name out or write {known}',
  },
  V1ScalarRows: {
    code: 'V1ScalarRows',
    status: 400,
    found: 'the input "{name}" is a scalar, which has no rows',
    fix: 'send columns: {"inputs":{"<input>":<value>,…}}',
  },
  V1BatchSize: {
    code: 'V1BatchSize',
    status: 400,
    found: 'the output "{name}" has inconsistent batch size: its shape is {found} for {rows} rows',
    fix: 'send columns, {"inputs":…}, to get the outputs as they are',
  },
  EventVersion: {
    code: 'EventVersion',
    status: 400,
    found: 'the CloudEvent has specversion {found}',
    fix: 'send version 1.0',
  },
  ClassificationImpossible: {
    code: 'ClassificationImpossible',
    status: 400,
    found: 'class result not available for output "{name}" due to unsupported type {datatype}',
    fix: 'leave the parameter classification out for this output',
  },
  BinaryHeader: {
    code: 'BinaryHeader',
    status: 400,
    found: 'the header Inference-Header-Content-Length is {found}',
    fix: 'write how many bytes of the body are JSON, {expected}',
  },
  BinaryMissing: {
    code: 'BinaryMissing',
    status: 400,
    found: '{field} needs {size} bytes of binary data, and {found} are left in the body',
    fix: 'send the tensors after the JSON, in the order of inputs, with Inference-Header-Content-Length',
  },
  BinaryLeft: {
    code: 'BinaryLeft',
    status: 400,
    found: "unexpected additional input data for model '{model}': {found} bytes follow the last binary tensor",
    fix: 'correct binary_data_size or Inference-Header-Content-Length',
  },
  BinarySize: {
    code: 'BinarySize',
    status: 400,
    found: '{field} has {found} bytes of binary data',
    fix: 'the shape {shape} of {datatype} needs {expected}',
  },
  BinaryStrings: {
    code: 'BinaryStrings',
    status: 400,
    found: 'the strings of {field} {problem}',
    fix: 'the shape {shape} needs {count} of them, each a 4-byte little-endian length and that many bytes',
  },
  DataTwice: {
    code: 'DataTwice',
    status: 400,
    found: '{field} has both data and binary_data_size',
    fix: 'send its elements in one way',
  },
  RawInputs: {
    code: 'RawInputs',
    status: 400,
    found: 'the body is raw bytes, and the model has {found} inputs',
    fix: 'only a model with one input can be asked so; send {"inputs":[…]}',
  },
  RawShape: {
    code: 'RawShape',
    status: 400,
    found: 'the body is raw bytes, from which the shape {shape} of the input "{name}" cannot be found',
    fix: 'send {"inputs":[…]} with a shape',
  },
  BytesNotText: {
    code: 'BytesNotText',
    status: 500,
    found: 'the output "{name}" holds bytes that are not UTF-8, which JSON cannot say',
    fix: 'ask for it with the parameter binary_data true',
  },
  KeyUnknown: {
    code: 'KeyUnknown',
    status: 401,
    found: 'the request has no API key that is known here',
    fix: 'send one as the header "authorization: Bearer <key>" or "x-api-key: <key>"',
  },
  ClientLimit: {
    code: 'ClientLimit',
    status: 429,
    found: 'this client has {running} requests under way, and may have {limit}',
    fix: 'try again after the time in Retry-After, with fewer at once',
    retryable: true,
  },
  QueueFull: {
    code: 'QueueFull',
    status: 503,
    found: 'the queue is full: {waiting} requests wait and {limit} may',
    fix: 'try again after the time in Retry-After, or add replicas',
    retryable: true,
  },
  QueueBytesFull: {
    code: 'QueueFull',
    status: 503,
    found: 'the queue is full: the bodies in it hold {held} and may hold {limit}',
    fix: 'try again after the time in Retry-After, or add replicas',
    retryable: true,
  },
  QueueTimeout: {
    code: 'QueueTimeout',
    status: 504,
    found: 'the request waited {limitMs} ms for a free worker, the longest time allowed',
    fix: 'try again, add replicas, or raise spec.runtime.queue.timeout',
    retryable: true,
  },
  TimeoutPassed: {
    code: 'TimeoutPassed',
    status: 504,
    found: 'the request waited longer than the {limitMs} ms that its own timeout allows',
    fix: 'try again, allow more time, or add replicas',
    retryable: true,
  },
  EngineGone: {
    code: 'EngineGone',
    status: 503,
    found: 'the inference worker is gone: {reason}',
    fix: 'try again in a second, because the server starts again',
    retryable: true,
  },
  RunFailed: {
    code: 'RunFailed',
    status: 500,
    found: 'the model failed on this input: {words}',
    fix: 'check that shapes and values are what the model was made for',
  },
  InputRefused: {
    code: 'InputRefused',
    status: 400,
    found: 'the model refuses the input: {words}',
    fix: 'compare the request with GET /v2/models/{model}',
  },
  Internal: {
    code: 'Internal',
    status: 500,
    found: 'the server failed in a way it should not: {words}',
    fix: "report it together with the pod's log",
  },
  BadHttp: {
    code: 'BadHttp',
    status: 400,
    found: 'the request is not valid HTTP: {reason}',
    fix: 'check the client or the proxy in between',
  },
  HeadersTooLarge: {
    code: 'HeadersTooLarge',
    status: 431,
    found: 'the request headers are larger than {limit}',
    fix: 'send fewer or shorter headers',
  },
  RequestTimeout: {
    code: 'RequestTimeout',
    status: 408,
    found: 'the request did not arrive in time',
    fix: 'send it faster or in smaller parts',
  },

  // What is wrong inside an inference request
  InvalidJson: {
    code: 'InvalidJson',
    status: 400,
    found: 'the body is not valid JSON: {problem} at byte {at}',
    fix: 'send one JSON object with "inputs"',
  },
  InvalidProtobuf: {
    code: 'InvalidProtobuf',
    status: 400,
    found: 'the {message} is not valid protobuf: {problem}, at byte {at}',
    fix: 'encode it by the .proto that server reflection gives',
  },
  TooDeep: {
    code: 'TooDeep',
    status: 400,
    found: 'the body nests deeper than {limit} levels at byte {at}',
    fix: 'send tensors flat',
  },
  FieldMissing: {
    code: 'FieldMissing',
    status: 400,
    found: '{field} is missing',
    fix: 'add it as {expected}',
  },
  FieldType: {
    code: 'FieldType',
    status: 400,
    found: '{field} is {found}',
    fix: 'write {expected}',
  },
  FieldTwice: {
    code: 'FieldTwice',
    status: 400,
    found: '{field} appears twice',
    fix: 'send it once',
  },
  InputUnknown: {
    code: 'InputUnknown',
    status: 400,
    found: '{field} names the input "{found}", which the model does not have',
    fix: 'its inputs are {known}',
  },
  InputTwice: {
    code: 'InputTwice',
    status: 400,
    found: '{field} names the input "{found}" a second time',
    fix: 'send every input once',
  },
  InputMissing: {
    code: 'InputMissing',
    status: 400,
    found: 'the input "{name}" is missing',
    fix: 'add {"name":"{name}","datatype":"{datatype}","shape":{shape},"data":[…]} to inputs',
  },
  OutputUnknown: {
    code: 'OutputUnknown',
    status: 400,
    found: '{field} names the output "{found}", which the model does not have',
    fix: 'its outputs are {known}',
  },
  OutputTwice: {
    code: 'OutputTwice',
    status: 400,
    found: '{field} names the output "{found}" a second time',
    fix: 'ask for every output once, or leave outputs out to get all',
  },
  DatatypeUnknown: {
    code: 'DatatypeUnknown',
    status: 400,
    found: '{field} is "{found}", which is no datatype',
    fix: 'use one of {known}',
  },
  DatatypeWrong: {
    code: 'DatatypeWrong',
    status: 400,
    found: '{field} is {found} for the input "{name}"',
    fix: 'the model takes {expected}',
  },
  ShapeDimension: {
    code: 'ShapeDimension',
    status: 400,
    found: '{field} is {found}',
    fix: 'every dimension is a whole number from 0 to 2147483647',
  },
  ShapeWrong: {
    code: 'ShapeWrong',
    status: 400,
    found: '{field} is {found} for the input "{name}"',
    fix: 'the model takes {expected}, where -1 stands for any size',
  },
  ShapeOverflow: {
    code: 'ShapeOverflow',
    status: 400,
    found:
      '{field} {shape} causes total element count to exceed maximum size: the body of {bytes} cannot hold that many',
    fix: 'send as many elements as the shape says',
  },
  ContentsAndRaw: {
    code: 'ContentsAndRaw',
    status: 400,
    found: "contents field must not be specified when using raw_input_contents for '{name}' for model '{model}'",
    fix: 'send its elements in one way',
  },
  ContentsField: {
    code: 'ContentsField',
    status: 400,
    found: '{field} is given for elements of {datatype}',
    fix: 'put them into {expected}, or send raw_input_contents',
  },
  ContentsImpossible: {
    code: 'ContentsImpossible',
    status: 400,
    found: '{field} cannot hold {datatype}, for which the protocol has no typed field',
    fix: 'use raw contents',
  },
  RawCount: {
    code: 'RawCount',
    status: 400,
    found: 'raw_input_contents has {found} entries for {expected} inputs',
    fix: 'send one entry for every input, in the order of inputs',
  },
  TensorDataMissing: {
    code: 'TensorDataMissing',
    status: 400,
    found: "unable to find data for input tensor '{name}' for model '{model}' in request",
    fix: 'fill raw_input_contents, one entry for every input, or contents',
  },
  DataCount: {
    code: 'DataCount',
    status: 400,
    found: '{field} has {found} elements',
    fix: 'the shape {shape} needs {expected}',
  },
  DataNesting: {
    code: 'DataNesting',
    status: 400,
    found: '{field} is nested in another way than the shape {shape} says, at byte {at}: {problem}',
    fix: 'send it flat, or nested with exactly these sizes',
  },
  DataElement: {
    code: 'DataElement',
    status: 400,
    found: '{field} holds {found}, which is no {datatype}',
    fix: '{expected}',
  },
} as const satisfies Record<string, Row>

export type Kind = keyof typeof table

/** The placeholders a row's texts hold, so that none can be forgotten. */
type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends Identifier<Name> ? Name : never) | Names<Rest>
  : never
type Identifier<Text extends string> = Text extends `${string}${' ' | '"' | ':' | '…'}${string}` ? never : Text
type Values<K extends Kind> = Record<Names<(typeof table)[K]['found'] | (typeof table)[K]['fix']>, string | number>

/** A fault as it travels between threads, into termination messages and HTTP answers. */
export interface FaultReport {
  readonly code: string
  readonly status: number
  readonly message: string
  readonly retryable: boolean
}

/** An expected failure: its message is fit for a user. Everything else thrown is a bug. */
export class Fault extends Error implements FaultReport {
  readonly code: string
  readonly status: number
  readonly retryable: boolean

  constructor({ code, status, message, retryable }: FaultReport) {
    super(message)
    this.name = 'Fault'
    this.code = code
    this.status = status
    this.retryable = retryable
  }

  /** The parts that may cross a thread or be printed. */
  report(): FaultReport {
    return { code: this.code, status: this.status, message: this.message, retryable: this.retryable }
  }
}

/** Makes the fault of a row, as one sentence: what was found; what to do. */
export function fault<K extends Kind>(kind: K, values: Values<K>): Fault {
  const row: Row = table[kind]
  const known = new Map<string, string | number>(Object.entries(values))
  const fill = (text: string): string =>
    text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => shortened(String(known.get(name) ?? whole)))
  return new Fault({
    code: row.code,
    status: row.status,
    message: `${fill(row.found)}; ${fill(row.fix)}`,
    retryable: row.retryable === true,
  })
}

/** What a client sent is told back to it, but not megabytes of it. */
function shortened(text: string): string {
  return text.length <= maxValueLength ? text : `${text.slice(0, maxValueLength)}…`
}

const maxValueLength = 1000

/** Any thrown thing as a report: a Fault as it is, a bug as `Internal` with its own words. */
export function reportOf(thrown: unknown): FaultReport {
  if (thrown instanceof Fault) return thrown.report()
  return fault('Internal', { words: wordsOf(thrown) }).report()
}

/** The message of any thrown thing, on one line. */
export function wordsOf(thrown: unknown): string {
  // An error that crossed a thread or a realm is no instance of this one's Error, but it has a message all the same.
  const message: unknown =
    typeof thrown === 'object' && thrown !== null && 'message' in thrown ? thrown.message : thrown
  const text = String(message)
  return text.replaceAll(/\s+/g, ' ').trim()
}

/** The code of a system error such as `ENOENT`; undefined for everything else. */
export function codeOf(thrown: unknown): string | undefined {
  const code: unknown = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'string' ? code : undefined
}

/** `2.2 MiB`, as messages print sizes; exact bytes below 10 KiB. */
export function printBytes(bytes: number): string {
  if (bytes < 10_240) return `${bytes} bytes`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes / 1024
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${Number(value.toFixed(1))} ${units[unit] ?? ''}`
}
