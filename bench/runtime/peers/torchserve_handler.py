# A TorchServe handler that calls onnxruntime. TorchServe imports torch; for such a handler names without a body do.
import json
import os

import numpy as np
import onnxruntime as ort

session = None
numpy_types = {"FP32": np.float32, "INT64": np.int64}


def handle(data, context):
    global session
    if session is None:
        options = ort.SessionOptions()
        if os.environ["THREADS"] != "default":
            options.intra_op_num_threads = int(os.environ["THREADS"])
        session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
    if data is None:
        return None
    answers = []
    for request in data:
        body = request.get("body", request.get("data", request))
        if isinstance(body, (bytes, bytearray)):
            body = json.loads(body)
        body = body if isinstance(body, dict) and "inputs" in body else request
        feeds = {each["name"]: np.asarray(each["data"], numpy_types[each["datatype"]]).reshape(each["shape"]) for each in body["inputs"]}
        results = session.run(None, feeds)
        outputs = [
            {"name": value.name, "datatype": "FP32", "shape": list(result.shape), "data": result.ravel().tolist()}
            for value, result in zip(session.get_outputs(), results)
        ]
        answers.append({"outputs": outputs})
    return answers
