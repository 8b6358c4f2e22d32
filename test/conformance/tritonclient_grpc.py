"""Speaks to a server with tritonclient's own gRPC clients, unmodified, and prints what came of it as JSON.

The model has one input `in_X` and one output `out_X` for each element type X, all of the shape [-1].
"""
import asyncio
import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException
import grpc

address, model = sys.argv[1:3]

TENSORS = {
    "FLOAT": ("FP32", np.array([0.1, -0.0, np.inf, np.nan], np.float32)),
    "DOUBLE": ("FP64", np.array([0.1, 1e-320, -np.inf], np.float64)),
    "FLOAT16": ("FP16", np.array([0.5, -65504], np.float16)),
    "STRING": ("BYTES", np.array([b"", "h\u00e9\u00e9 \U0001f600".encode()], np.object_)),
    "BOOL": ("BOOL", np.array([True, False, True])),
    "INT8": ("INT8", np.array([-128, 127], np.int8)),
    "INT16": ("INT16", np.array([-32768, 32767], np.int16)),
    "INT32": ("INT32", np.array([-(2**31), 2**31 - 1], np.int32)),
    "INT64": ("INT64", np.array([-(2**63), 2**53 + 1], np.int64)),
    "UINT8": ("UINT8", np.array([0, 255], np.uint8)),
    "UINT16": ("UINT16", np.array([0, 65535], np.uint16)),
    "UINT32": ("UINT32", np.array([0, 2**32 - 1], np.uint32)),
    "UINT64": ("UINT64", np.array([0, 2**64 - 1], np.uint64)),
}
LARGE = np.random.default_rng(7).standard_normal(3 * 224 * 224).astype(np.float32)
CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}


def same(a, b):
    return a.shape == b.shape and (list(a) == list(b) if a.dtype == np.object_ else a.tobytes() == b.tobytes())


def inputs_of(module, tensors):
    inputs = []
    for element, (datatype, array) in tensors.items():
        one = module.InferInput(f"in_{element}", list(array.shape), datatype)
        one.set_data_from_numpy(array)
        inputs.append(one)
    return inputs


def all_same(result, tensors):
    return [e for e, (_, array) in tensors.items() if not same(result.as_numpy(f"out_{e}"), array)]


def error_of(call):
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    return None


def typed_request():
    request = service_pb2.ModelInferRequest(model_name=model, id="typed")
    for element, (datatype, array) in TENSORS.items():
        tensor = request.inputs.add(name=f"in_{element}", datatype=datatype, shape=list(array.shape))
        if datatype == "FP16":
            tensor.shape[:] = [0]
        else:
            getattr(tensor.contents, CONTENTS[datatype]).extend(array.tolist())
    for element, (datatype, _) in TENSORS.items():
        if datatype != "FP16":
            request.outputs.add(name=f"out_{element}")
    return request


def field_numbers(descriptor):
    """Every message's fields, as tritonclient's own descriptors have them."""
    found = {descriptor.full_name: {f.name: [f.number, f.type, bool(f.is_repeated)] for f in descriptor.fields}}
    for nested in descriptor.nested_types:
        found.update(field_numbers(nested))
    return found


def sync_client(results):
    client = triton.InferenceServerClient(address)
    results["live"] = client.is_server_live()
    results["ready"] = client.is_server_ready()
    results["model_ready"] = client.is_model_ready(model)
    results["server_metadata"] = client.get_server_metadata(as_json=True)
    results["model_metadata"] = client.get_model_metadata(model, as_json=True)
    results["model_config"] = client.get_model_config(model, as_json=True)
    results["statistics"] = client.get_inference_statistics(model, as_json=True)
    results["shared_memory"] = client.get_system_shared_memory_status(as_json=True)
    client.unregister_system_shared_memory()
    results["index"] = client.get_model_repository_index(as_json=True)

    result = client.infer(model, inputs_of(triton, TENSORS), request_id="r-1", priority=1, timeout=10_000_000)
    results["wrong"] = all_same(result, TENSORS)
    results["id"] = result.get_response().id

    large = dict(TENSORS, FLOAT=("FP32", LARGE))
    outputs = [triton.InferRequestedOutput("out_FLOAT")]
    result = client.infer(model, inputs_of(triton, large), outputs=outputs)
    results["large_same"] = same(result.as_numpy("out_FLOAT"), LARGE)
    results["only_asked"] = [o.name for o in result.get_response().outputs]

    classes = [triton.InferRequestedOutput("out_INT32", class_count=1)]
    result = client.infer(model, inputs_of(triton, TENSORS), outputs=classes)
    results["classes"] = [text.decode() for text in result.as_numpy("out_INT32")]

    compressed = client.infer(model, inputs_of(triton, TENSORS), compression_algorithm="gzip")
    results["compressed_wrong"] = all_same(compressed, TENSORS)

    done = queue.Queue()
    client.async_infer(model, inputs_of(triton, TENSORS), lambda result, error: done.put((result, error)))
    result, error = done.get()
    results["async_wrong"] = all_same(result, TENSORS) if error is None else str(error)

    client.start_stream(lambda result, error: done.put((result, error)))
    for n in range(3):
        client.async_stream_infer(model, inputs_of(triton, TENSORS), request_id=str(n))
    client.async_stream_infer("other", inputs_of(triton, TENSORS))
    told = [done.get() for _ in range(4)]
    client.stop_stream()
    results["stream"] = [r.get_response().id if e is None else str(e) for r, e in told]

    one = dict(TENSORS)
    one.pop("BOOL")
    results["errors"] = {
        "unknown model": error_of(lambda: client.infer("other", inputs_of(triton, TENSORS))),
        "unknown version": error_of(lambda: client.infer(model, inputs_of(triton, TENSORS), model_version="9")),
        "missing input": error_of(lambda: client.infer(model, inputs_of(triton, one))),
        "sequence": error_of(lambda: client.infer(model, inputs_of(triton, TENSORS), sequence_id=5)),
        "load": error_of(lambda: client.load_model(model)),
        "shared memory": error_of(lambda: client.register_system_shared_memory("r", "/r", 8)),
        "metadata": error_of(lambda: client.get_model_metadata("other")),
    }
    client.close()


def typed(results):
    """As the explicit-contents examples of Triton do it: typed contents in, raw contents out."""
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = typed_request()
        response = stub.ModelInfer(request)
        sent = {e: t for e, t in TENSORS.items() if t[0] != "FP16"}
        results["typed_wrong"] = [
            e for (e, (d, array)), raw in zip(sent.items(), response.raw_output_contents)
            if d != "BYTES" and array.tobytes() != raw
        ]
        request.parameters["binary_data_output"].bool_param = False
        response = stub.ModelInfer(request)
        results["typed_answer_wrong"] = [
            e for (e, (d, array)), output in zip(sent.items(), response.outputs)
            if not same(np.array(list(getattr(output.contents, CONTENTS[d])), array.dtype), array)
        ]
        request.raw_input_contents.append(b"x")
        results["both"] = refused(lambda: stub.ModelInfer(request))


async def async_client(results):
    client = triton_aio.InferenceServerClient(address)
    answers = await asyncio.gather(*(client.infer(model, inputs_of(triton_aio, TENSORS)) for _ in range(20)))
    results["aio_wrong"] = [all_same(answer, TENSORS) for answer in answers if all_same(answer, TENSORS)]
    await client.close()


results = {"fields": {}}
for file in (service_pb2, model_config_pb2):
    for message in file.DESCRIPTOR.message_types_by_name.values():
        results["fields"].update(field_numbers(message))
results["datatypes"] = dict(model_config_pb2.DataType.items())
sync_client(results)
typed(results)
asyncio.run(async_client(results))
print(json.dumps(results))
