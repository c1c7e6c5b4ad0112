"""Checks models that we wrote with the tools of ONNX: its checker, and onnxruntime, whose outputs must be ours,
integers to the bit.

    python export.py FOLDER

FOLDER holds NAME.onnx, NAME.inputs.safetensors and NAME.outputs.safetensors.
"""

import json
import pathlib
import struct
import sys

import numpy
import onnx
import onnxruntime

TYPES = {"F32": numpy.float32, "I32": numpy.int32, "I8": numpy.int8, "U8": numpy.uint8}


def tensors(path):
    raw = path.read_bytes()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    made = {}
    for name, entry in json.loads(raw[8:start]).items():
        begin, end = entry["data_offsets"]
        values = numpy.frombuffer(raw[start + begin : start + end], TYPES[entry["dtype"]])
        made[name] = values.reshape(entry["shape"])
    return made


def main(folder):
    count, worst = 0, 0.0
    for path in sorted(pathlib.Path(folder).glob("*.onnx")):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs = tensors(path.with_suffix(".inputs.safetensors"))
        expected = tensors(path.with_suffix(".outputs.safetensors"))
        names = [output.name for output in session.get_outputs()]
        for name, made in zip(names, session.run(names, inputs)):
            want = expected[name]
            assert made.shape == want.shape and made.dtype == want.dtype, (path.stem, made.shape, made.dtype, want.shape)
            if want.dtype.kind in "iu":
                numpy.testing.assert_array_equal(made, want, err_msg=path.stem)
                continue
            numpy.testing.assert_allclose(made, want, rtol=1e-4, atol=1e-5, err_msg=path.stem)
            finite = numpy.isfinite(want)
            worst = max(worst, float(numpy.abs(made[finite].astype(float) - want[finite]).max(initial=0.0)))
        count += 1
    print(f"{count} models checked, outputs differ by {worst:.1e} at most")


main(sys.argv[1])
