"""The body of a Triton python backend: the ONNX file beside the model's folder, run by onnxruntime.

The backend's stub drops PYTHONPATH: a line that finds these packages is put in front of this file. Triton's own ONNX
backend is not to be had as a package, so only its front end and its protocol are the real thing here.
"""

import os

import numpy
import onnxruntime
import triton_python_backend_utils as utils


class TritonPythonModel:
    def initialize(self, args):
        path = os.path.join(args["model_repository"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feeds = {}
        for name in self.inputs:
            values = utils.get_input_tensor_by_name(request, name).as_numpy()
            if values.dtype == object:
                texts = [text.decode() for text in values.reshape(-1)]
                values = numpy.array(texts, dtype=object).reshape(values.shape)
            feeds[name] = values
        wanted = [name for name in self.outputs if name in request.requested_output_names()]
        try:
            results = self.session.run(wanted, feeds)
        except Exception as error:
            return utils.InferenceResponse(error=utils.TritonError(str(error)))
        for index, values in enumerate(results):
            if values.dtype == object:
                texts = [text.encode() for text in values.reshape(-1)]
                results[index] = numpy.array(texts, dtype=object).reshape(values.shape)
        return utils.InferenceResponse([utils.Tensor(name, values) for name, values in zip(wanted, results)])
