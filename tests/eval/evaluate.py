"""Held-out accuracy of a digits model, from the written file alone.

Shares no code with the project: reads the safetensors format by itself (https://github.com/huggingface/safetensors,
"Format"), and computes the net with numpy: 3x3 convolution with padding 1, ReLU, the same again, 2x2 max-pooling,
dense. Which layer is which follows from the tensors' names, `layer<position>.weight` and `.bias`.

usage: evaluate.py MODEL.safetensors digits.csv.gz      prints the accuracy, 0 to 1
"""

import gzip
import json
import re
import struct
import sys

import numpy as np


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise SystemExit(f"{name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], dtype="<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


def read_held_out(path):
    with gzip.open(path, "rt") as file:
        rows = np.array([[int(cell) for cell in line.split(",")] for line in file], dtype=np.int64)
    rows = rows[np.arange(len(rows)) % 5 == 4]
    return rows[:, :64].reshape(-1, 1, 8, 8) / 16.0, rows[:, 64]


def convolution(x, weight, bias):
    """[n, c, h, w] by [o, c, 3, 3] with one pixel of zeros around: shifted copies, one product each."""
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((x.shape[0], weight.shape[0], height, width))
    for row in range(3):
        for column in range(3):
            y += np.einsum("ncij,oc->noij", padded[:, :, row : row + height, column : column + width], weight[:, :, row, column])
    return y + bias[None, :, None, None]


def max_pooling(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def logits(x, tensors):
    positions = sorted({int(re.fullmatch(r"layer(\d+)\.(weight|bias)", name).group(1)) for name in tensors})
    layers = [(tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]) for i in positions]
    if [weight.ndim for weight, _ in layers] != [4, 4, 2]:
        raise SystemExit(f"not the digits net: {[weight.shape for weight, _ in layers]}")
    for weight, bias in layers[:2]:
        x = np.maximum(convolution(x, weight, bias), 0)
    weight, bias = layers[2]
    return max_pooling(x).reshape(len(x), -1) @ weight.T + bias


def main(model, data):
    x, y = read_held_out(data)
    right = (logits(x, read_safetensors(model)).argmax(axis=1) == y).sum()
    print(right / len(y))


if __name__ == "__main__":
    main(*sys.argv[1:])
