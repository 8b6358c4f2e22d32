# A model on KServe's own Python server, as its documentation shows custom predictors; JSON, binary and gRPC.
import argparse
import os

import kserve
import onnxruntime as ort
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid

options = ort.SessionOptions()
if os.environ["THREADS"] != "default":
    options.intra_op_num_threads = int(os.environ["THREADS"])


def described(values):
    return [
        {
            "name": v.name,
            "datatype": "INT64" if v.type == "tensor(int64)" else "FP32",
            "shape": [d if isinstance(d, int) else -1 for d in v.shape],
        }
        for v in values
    ]


class Onnx(Model):
    def __init__(self):
        super().__init__("m")
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def get_input_types(self):
        return described(self.session.get_inputs())

    async def get_output_types(self):
        return described(self.session.get_outputs())

    async def predict(self, payload, headers=None, response_headers=None):
        results = self.session.run(None, {each.name: each.as_numpy() for each in payload.inputs})
        outputs = []
        for value, result in zip(self.session.get_outputs(), results):
            output = InferOutput(name=value.name, shape=list(result.shape), datatype="FP32")
            output.set_data_from_numpy(result)
            outputs.append(output)
        # Without an id its server answers 500.
        return InferResponse(
            response_id=payload.id or generate_uuid(),
            model_name="m",
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    argparse.ArgumentParser(parents=[kserve.model_server.parser]).parse_known_args()
    ModelServer().start([Onnx()])
