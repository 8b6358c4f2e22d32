# A BentoML service with the protocol's tensors as its arguments; BentoML has no such protocol of its own.
import os
from typing import Any

import bentoml
import numpy as np
import onnxruntime as ort

numpy_types = {"FP32": np.float32, "INT64": np.int64}
options = ort.SessionOptions()
if os.environ["THREADS"] != "default":
    options.intra_op_num_threads = int(os.environ["THREADS"])


@bentoml.service(workers=1, traffic={"timeout": 30})
class Onnx:
    def __init__(self):
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    @bentoml.api
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        feeds = {each["name"]: np.asarray(each["data"], numpy_types[each["datatype"]]).reshape(each["shape"]) for each in inputs}
        results = self.session.run(None, feeds)
        outputs = [
            {"name": value.name, "datatype": "FP32", "shape": list(result.shape), "data": result.ravel().tolist()}
            for value, result in zip(self.session.get_outputs(), results)
        ]
        return {"model_name": "m", "outputs": outputs}
