# FastAPI and onnxruntime as their documentation shows them: what a team writes for itself.
import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

options = ort.SessionOptions()
if os.environ["THREADS"] != "default":
    options.intra_op_num_threads = int(os.environ["THREADS"])
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()
numpy_types = {"FP32": np.float32, "INT64": np.int64}


class Tensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(BaseModel):
    inputs: list[Tensor]


@app.get("/v2/health/live")
def live():
    return {"live": True}


@app.post("/v2/models/m/infer")
def infer(request: Request):
    feeds = {each.name: np.asarray(each.data, numpy_types[each.datatype]).reshape(each.shape) for each in request.inputs}
    results = session.run(None, feeds)
    outputs = [
        {"name": value.name, "datatype": "FP32", "shape": list(result.shape), "data": result.ravel().tolist()}
        for value, result in zip(session.get_outputs(), results)
    ]
    return {"model_name": "m", "outputs": outputs}
