"""KServe's own SDK client, unmodified, against a running server: REST with V1 and V2, and gRPC.

usage: client.py <http://host:port of a server with all datatypes> <its gRPC host:port> <http://host:port of an adding model>
Prints one JSON line a case: {"name": ..., "error": null or what went wrong}.
"""

import asyncio
import json
import sys
import traceback

import grpc
import httpx
import numpy as np
from kserve import InferInput, InferRequest, InferenceGRPCClient, InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

URL, GRPC, ADD = sys.argv[1:4]
DATA = {
    "FLOAT": ("FP32", np.array([0.1, 1e-40, -3e38], np.float32)),
    "DOUBLE": ("FP64", np.array([0.1, 5e-324, -1e300], np.float64)),
    "FLOAT16": ("FP16", np.array([0.5, -65504, 6e-8], np.float16)),
    "STRING": ("BYTES", np.array([b"", "hé \"😀\"".encode(), b"a" * 300], np.object_)),
    "BOOL": ("BOOL", np.array([True, False, True], np.bool_)),
    "INT8": ("INT8", np.array([-128, 127, 0], np.int8)),
    "INT16": ("INT16", np.array([-32768, 32767, 0], np.int16)),
    "INT32": ("INT32", np.array([-(2**31), 2**31 - 1, 0], np.int32)),
    "INT64": ("INT64", np.array([-(2**63), 2**63 - 1, 2**53 + 1], np.int64)),
    "UINT8": ("UINT8", np.array([0, 255, 1], np.uint8)),
    "UINT16": ("UINT16", np.array([0, 65535, 1], np.uint16)),
    "UINT32": ("UINT32", np.array([0, 2**32 - 1, 1], np.uint32)),
    "UINT64": ("UINT64", np.array([0, 2**64 - 1, 2**53 + 1], np.uint64)),
}


def request(binary, names=DATA, model="m", **more):
    inputs = []
    for name in names:
        datatype, values = DATA[name]
        inputs.append(InferInput(f"in_{name}", list(values.shape), datatype))
        inputs[-1].set_data_from_numpy(values, binary_data=binary or datatype == "FP16")
    return InferRequest(model_name=model, infer_inputs=inputs, **more)


def check(response, names=DATA):
    found = {output.name: output for output in response.outputs}
    for name in names:
        values, answered = DATA[name][1], found[f"out_{name}"].as_numpy()
        if name == "STRING":
            texts = [text if isinstance(text, bytes) else text.encode() for text in answered.tolist()]
            assert texts == values.tolist(), (name, texts)
        else:
            assert answered.dtype == values.dtype and np.array_equal(answered, values), (name, answered)


V2 = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
V1 = InferenceRESTClient(RESTConfig(protocol="v1", retries=1))


async def rest_health():
    assert await V2.is_server_live(URL) and await V2.is_server_ready(URL)
    assert await V2.is_model_ready(URL, "m")
    assert await V1.is_server_live(URL)
    assert await V1.is_model_ready(URL, "m")


async def rest_binary():
    outputs = [RequestedOutput(f"out_{name}", {"binary_data": True}) for name in DATA]
    response = await V2.infer(URL, request(True, request_id="7", request_outputs=outputs), model_name="m")
    assert response.id == "7" and response.model_name == "m", response
    check(response)


async def rest_json():
    names = [name for name in DATA if name not in ("FLOAT16",)]
    rest = [RequestedOutput(f"out_{name}") for name in names] + [RequestedOutput("out_FLOAT16", {"binary_data": True})]
    check(await V2.infer(URL, request(False, request_outputs=rest), model_name="m"), names)


async def rest_v1():
    rows = {"instances": [{"a": [1, 2, 3, 4], "b": [0, 0, 0, 0.5]}, {"a": [1, 1, 1, 1], "b": [1, 1, 1, 1]}]}
    answer = await V1.infer(ADD, rows, model_name="m")
    assert answer["predictions"] == [[1, 2, 3, 4.5], [2, 2, 2, 2]], answer


async def rest_errors():
    for call, status in (
        (lambda: V2.infer(URL, request(True), model_name="other"), 404),
        (lambda: V2.infer(URL, request(True, ["FLOAT"]), model_name="m"), 400),
        (lambda: V1.infer(ADD, {"instances": 7}, model_name="m"), 400),
        (lambda: V1.explain(ADD, "m", {"instances": []}), 501),
    ):
        try:
            await call()
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == status, error
            assert isinstance(error.response.json()["error"], str)
        else:
            raise AssertionError(f"it was not refused with {status}")


async def grpc_all():
    async with InferenceGRPCClient(url=GRPC, use_ssl=False) as client:
        assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready("m")
        assert not await client.is_model_ready("other")
        check(await client.infer(request(True, request_id="7")))
        typed = [name for name in DATA if name != "FLOAT16"]
        try:
            await client.infer(request(False, typed))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and "in_FLOAT16" in error.details(), error
        else:
            raise AssertionError("a missing input was not refused")


async def main():
    for case in (rest_health, rest_binary, rest_json, rest_v1, rest_errors, grpc_all):
        error = None
        try:
            await case()
        except Exception:
            error = traceback.format_exc()[-1500:]
        print(json.dumps({"name": case.__name__, "error": error}))


asyncio.run(main())
