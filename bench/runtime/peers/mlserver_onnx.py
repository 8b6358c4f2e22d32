# MLServer has no ONNX runtime of its own, so this is a custom one, as its documentation shows them.
import os

import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

options = ort.SessionOptions()
if os.environ["THREADS"] != "default":
    options.intra_op_num_threads = int(os.environ["THREADS"])


class Onnx(MLModel):
    async def load(self):
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.names = [value.name for value in self.session.get_outputs()]
        return True

    async def predict(self, payload):
        results = self.session.run(None, {each.name: NumpyCodec.decode_input(each) for each in payload.inputs})
        outputs = [NumpyCodec.encode_output(name=n, payload=r) for n, r in zip(self.names, results)]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs)
