# Triton's own server and protocol front ends; its ONNX backend is not to be had as a package, so the python backend
# calls onnxruntime. The backend's process drops PYTHONPATH.
import os
import sys

sys.path.insert(0, os.environ["PACKAGES"])
import onnxruntime as ort
import triton_python_backend_utils as utils

options = ort.SessionOptions()
if os.environ["THREADS"] != "default":
    options.intra_op_num_threads = int(os.environ["THREADS"])


class TritonPythonModel:
    def initialize(self, args):
        self.session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]

    def execute(self, requests):
        answers = []
        for request in requests:
            feeds = {name: utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            results = self.session.run(None, feeds)
            answers.append(utils.InferenceResponse([utils.Tensor(n, r) for n, r in zip(self.outputs, results)]))
        return answers
