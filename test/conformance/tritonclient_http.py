"""Triton's own HTTP client, unmodified, against a running server: every call that the server says it has.

usage: tritonclient_http.py <host:port of a server with all datatypes> <host:port of the adding model>
Prints one JSON line a case: {"name": ..., "error": null or what went wrong}.
"""

import asyncio
import json
import sys
import traceback

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

TYPES, ADD = sys.argv[1], sys.argv[2]
DATA = {
    "FLOAT": np.array([0.1, np.nan, -np.inf], np.float32),
    "DOUBLE": np.array([0.1, np.inf, -1e300], np.float64),
    "FLOAT16": np.array([0.5, -65504, 6e-8], np.float16),
    "STRING": np.array([b"", "hé \"😀\"".encode(), b"a" * 300], np.object_),
    "BOOL": np.array([True, False, True], np.bool_),
    "INT8": np.array([-128, 127, 0], np.int8),
    "INT16": np.array([-32768, 32767, 0], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1, 0], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1, 2**53 + 1], np.int64),
    "UINT8": np.array([0, 255, 1], np.uint8),
    "UINT16": np.array([0, 65535, 1], np.uint16),
    "UINT32": np.array([0, 2**32 - 1, 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1, 2**53 + 1], np.uint64),
}
ALL_BUT_HALF = [name for name in DATA if name != "FLOAT16"]


def all_inputs(binary, module=http):
    inputs = []
    for name, values in DATA.items():
        inputs.append(module.InferInput(f"in_{name}", list(values.shape), np_to_triton_dtype(values.dtype)))
        # The client itself refuses halves as JSON.
        inputs[-1].set_data_from_numpy(values, binary_data=binary or name == "FLOAT16")
    return inputs


def outputs_of(binary, module=http):
    return [module.InferRequestedOutput(f"out_{name}", binary_data=binary or name == "FLOAT16") for name in DATA]


def check_all(result, names=DATA):
    for name in names:
        values, found = DATA[name], result.as_numpy(f"out_{name}")
        if name == "STRING":
            found = np.array([text if isinstance(text, bytes) else text.encode() for text in found], np.object_)
            assert list(found) == list(values), (name, found)
        else:
            assert found.dtype == values.dtype, (name, found.dtype)
            assert np.array_equal(found, values, equal_nan=name in ("FLOAT", "DOUBLE")), (name, found)


def add_inputs(left, right, module=http):
    inputs = []
    for name, values in (("a", left), ("b", right)):
        inputs.append(module.InferInput(name, list(values.shape), "FP32"))
        inputs[-1].set_data_from_numpy(values)
    return inputs


A = np.arange(8, dtype=np.float32).reshape(2, 4)
B = A * 10


def refused(call, status, words):
    try:
        call()
    except InferenceServerException as error:
        assert error.status() == str(status), (error.status(), error.message())
        assert words in error.message(), error.message()
        return
    raise AssertionError(f"it was not refused with {status}")


def health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("m")
    assert client.is_model_ready("m", "v1") and not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("m", "v1")
    assert metadata["name"] == "m" and metadata["versions"] == ["v1"], metadata
    assert {spec["name"] for spec in metadata["inputs"]} == {f"in_{name}" for name in DATA}, metadata


def configuration(_client):
    config = http.InferenceServerClient(ADD).get_model_config("m")
    assert config["max_batch_size"] >= 1, config
    assert config["input"][0]["data_type"] == "TYPE_FP32" and config["input"][0]["dims"] == [4], config


def statistics(client):
    client.infer("m", all_inputs(True))
    [stats] = client.get_inference_statistics("m")["model_stats"]
    assert stats["inference_count"] >= 1 and stats["inference_stats"]["success"]["ns"] > 0, stats
    assert client.get_inference_statistics()["model_stats"][0]["name"] == "m"


def repository(client):
    [entry] = client.get_model_repository_index()
    assert entry["name"] == "m" and entry["state"] == "READY", entry
    refused(lambda: client.load_model("m"), 501, "explicit model load / unload is not allowed")
    refused(lambda: client.unload_model("m"), 501, "explicit model load / unload is not allowed")


def shared_memory(client):
    assert client.get_system_shared_memory_status() == []
    assert client.get_cuda_shared_memory_status() == []
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()
    refused(lambda: client.register_system_shared_memory("r", "/r", 8), 501, "system_shared_memory")
    refused(lambda: client.get_trace_settings(), 501, "trace")
    refused(lambda: client.get_log_settings(), 501, "logging")


def binary_both_ways(client):
    check_all(client.infer("m", all_inputs(True)))
    check_all(client.infer("m", all_inputs(True), outputs=outputs_of(True), request_id="7", model_version="v1"))


def json_both_ways(client):
    result = client.infer("m", all_inputs(False), outputs=outputs_of(False), request_id="an id")
    assert result.get_response()["id"] == "an id"
    check_all(result, ALL_BUT_HALF)


def mixed(client):
    check_all(client.infer("m", all_inputs(False), outputs=outputs_of(True)))
    check_all(client.infer("m", all_inputs(True), outputs=outputs_of(False)), ALL_BUT_HALF)


def compressed(client):
    for algorithm in ("gzip", "deflate"):
        result = client.infer(
            "m",
            all_inputs(True),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        check_all(result)


def classification(_client):
    client = http.InferenceServerClient(ADD)
    for binary in (True, False):
        output = http.InferRequestedOutput("sum", binary_data=binary, class_count=2)
        found = client.infer("m", add_inputs(A, B), outputs=[output]).as_numpy("sum")
        texts = [text.decode() if isinstance(text, bytes) else text for text in found.flatten()]
        assert found.shape == (2, 2) and texts == ["33.000000:3", "22.000000:2", "77.000000:3", "66.000000:2"], found


def asynchronous(_client):
    client = http.InferenceServerClient(ADD, concurrency=8)
    asked = [client.async_infer("m", add_inputs(A + i, B)) for i in range(64)]
    for i, request in enumerate(asked):
        assert np.array_equal(request.get_result().as_numpy("sum"), A + i + B)


def priority_and_timeout(_client):
    client = http.InferenceServerClient(ADD)
    result = client.infer("m", add_inputs(A, B), priority=1, timeout=10_000_000, parameters={"mine": "x"})
    assert np.array_equal(result.as_numpy("sum"), A + B)


def generated_body(client):
    body, length = client.generate_request_body(add_inputs(A, B))
    import urllib.request

    request = urllib.request.Request(
        f"http://{ADD}/v2/models/m/infer", data=body, headers={"Inference-Header-Content-Length": str(length)}
    )
    with urllib.request.urlopen(request) as response:
        result = client.parse_response_body(
            response.read(), header_length=int(response.headers["Inference-Header-Content-Length"])
        )
    assert np.array_equal(result.as_numpy("sum"), A + B)


def mistakes(_client):
    client = http.InferenceServerClient(ADD)
    refused(lambda: client.infer("other", add_inputs(A, B)), 404, "there is no model other here")
    refused(lambda: client.infer("m", add_inputs(A, B), model_version="9"), 404, "no live version 9")
    refused(lambda: client.infer("m", add_inputs(A, B)[:1]), 400, 'the input "b" is missing')
    refused(lambda: client.infer("m", add_inputs(A, B[:, :3])), 400, "shape")
    refused(lambda: client.infer("m", add_inputs(A, B), sequence_id=5, sequence_start=True), 501, "sequence_id")
    wrong = [http.InferInput("a", [2, 4], "INT32"), add_inputs(A, B)[1]]
    wrong[0].set_data_from_numpy(A.astype(np.int32))
    refused(lambda: client.infer("m", wrong), 400, "the model takes FP32")
    unknown = [http.InferRequestedOutput("nothing")]
    refused(lambda: client.infer("m", add_inputs(A, B), outputs=unknown), 400, 'names the output "nothing"')
    refused(lambda: client.get_model_metadata("other"), 404, "there is no model other here")


def asyncio_client(_client):
    async def run():
        async with aio.InferenceServerClient(TYPES) as client:
            assert await client.is_server_live() and await client.is_model_ready("m")
            check_all(await client.infer("m", all_inputs(True, aio)))
            check_all(await client.infer("m", all_inputs(False, aio), outputs=outputs_of(False, aio)), ALL_BUT_HALF)
            check_all(
                await client.infer(
                    "m",
                    all_inputs(True, aio),
                    request_compression_algorithm="gzip",
                    response_compression_algorithm="gzip",
                )
            )
        async with aio.InferenceServerClient(ADD) as client:
            asked = [client.infer("m", add_inputs(A + i, B, aio)) for i in range(32)]
            for i, result in enumerate(await asyncio.gather(*asked)):
                assert np.array_equal(result.as_numpy("sum"), A + i + B)
            try:
                await client.infer("other", add_inputs(A, B, aio))
                raise AssertionError("it was not refused")
            except InferenceServerException as error:
                assert error.status() == "404", error

    asyncio.run(run())


CASES = [
    health_and_metadata,
    configuration,
    binary_both_ways,
    json_both_ways,
    mixed,
    compressed,
    classification,
    asynchronous,
    priority_and_timeout,
    generated_body,
    statistics,
    repository,
    shared_memory,
    mistakes,
    asyncio_client,
]

for case in CASES:
    error = None
    try:
        case(http.InferenceServerClient(TYPES))
    except Exception:  # one broken case must not hide the others
        error = traceback.format_exc(limit=-3)
    print(json.dumps({"name": case.__name__, "error": error}), flush=True)
