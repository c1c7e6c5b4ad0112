"""Makes model.onnx and expected.json of this folder: a small decoder in Llama's way (Touvron et al. 2023) with random
weights, written as exporters write it, and the logits that onnxruntime gives for a prompt and for the token after it.

    $SHOAL_CACHE/onnx-python/bin/python make.py

RMS norm, rotary positions, causal attention of 4 query heads over 2 key heads with a cache, SiLU-gated layers. All shapes
are computed from those of the inputs.
"""

import json

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

LAYERS, WORDS, SIZE, HEADS, KEY_HEADS, INNER = 3, 50, 32, 4, 2, 48
HEAD = SIZE // HEADS
EPSILON, THETA = 1e-5, 10000.0
rng = numpy.random.default_rng(3)
nodes, weights = [], []


def weight(name, values):
    weights.append(numpy_helper.from_array(numpy.asarray(values), name))
    return name


def random(name, *shape):
    return weight(name, (rng.standard_normal(shape) / numpy.sqrt(shape[0])).astype(numpy.float32))


def op(kind, inputs, **attributes):
    output = attributes.pop("output", f"{kind.lower()}_{len(nodes)}")
    nodes.append(helper.make_node(kind, inputs, [output], name=f"/{kind}_{len(nodes)}", **attributes))
    return output


def integers(*values):
    return weight(f"integers_{len(weights)}", numpy.array(values, numpy.int64))


def number(value):
    return weight(f"number_{len(weights)}", numpy.float32(value))


def dim(x, axis):
    return op("Gather", [op("Shape", [x]), integers(axis)], axis=0)


def shape(*parts):
    return op("Concat", list(parts), axis=0)


def rms_norm(x, name):
    mean = op("ReduceMean", [op("Pow", [x, number(2)])], axes=[-1], keepdims=1)
    scale = op("Reciprocal", [op("Sqrt", [op("Add", [mean, number(EPSILON)])])])
    gain = weight(name, (1 + 0.1 * rng.standard_normal(SIZE)).astype(numpy.float32))
    return op("Mul", [op("Mul", [x, scale]), gain])


def heads(x, count):
    split = op("Reshape", [x, shape(batch, sequence, integers(count), integers(HEAD))])
    return op("Transpose", [split], perm=[0, 2, 1, 3])


def rotated(x):
    first = op("Slice", [x, integers(0), integers(HEAD // 2), integers(-1)])
    second = op("Slice", [x, integers(HEAD // 2), integers(2**62), integers(-1)])
    turned = op("Concat", [op("Neg", [second]), first], axis=-1)
    return op("Add", [op("Mul", [x, cos]), op("Mul", [turned, sin])])


def repeated(x):
    wide = op("Unsqueeze", [x, integers(2)])
    groups = integers(HEADS // KEY_HEADS)
    wide = op("Expand", [wide, shape(batch, integers(KEY_HEADS), groups, total, integers(HEAD))])
    return op("Reshape", [wide, shape(batch, integers(HEADS), total, integers(HEAD))])


def attention(x, layer):
    q = rotated(heads(op("MatMul", [x, random(f"l{layer}.q", SIZE, SIZE)]), HEADS))
    k = rotated(heads(op("MatMul", [x, random(f"l{layer}.k", SIZE, KEY_HEADS * HEAD)]), KEY_HEADS))
    v = heads(op("MatMul", [x, random(f"l{layer}.v", SIZE, KEY_HEADS * HEAD)]), KEY_HEADS)
    k = op("Concat", [f"past.{layer}.key", k], axis=2, output=f"present.{layer}.key")
    v = op("Concat", [f"past.{layer}.value", v], axis=2, output=f"present.{layer}.value")
    scores = op("MatMul", [q, op("Transpose", [repeated(k)], perm=[0, 1, 3, 2])])
    scores = op("Add", [op("Div", [scores, number(numpy.sqrt(HEAD))]), mask])
    made = op("MatMul", [op("Softmax", [scores], axis=-1), repeated(v)])
    joined = op("Reshape", [op("Transpose", [made], perm=[0, 2, 1, 3]), shape(batch, sequence, integers(SIZE))])
    return op("MatMul", [joined, random(f"l{layer}.o", SIZE, SIZE)])


def gated(x, layer):
    gate = op("MatMul", [x, random(f"l{layer}.gate", SIZE, INNER)])
    gate = op("Mul", [gate, op("Sigmoid", [gate])])
    up = op("MatMul", [x, random(f"l{layer}.up", SIZE, INNER)])
    return op("MatMul", [op("Mul", [gate, up]), random(f"l{layer}.down", INNER, SIZE)])


batch, sequence = dim("input_ids", 0), dim("input_ids", 1)
past = dim("past.0.key", 2)
total = op("Add", [past, sequence])

# Positions follow the cache; each query sees the keys up to its own.
scalar = lambda x: op("Squeeze", [x, integers(0)])
zero, one = (weight(name, numpy.int64(value)) for name, value in [("zero", 0), ("one", 1)])
positions = op("Range", [scalar(past), scalar(total), one])
keys = op("Range", [zero, scalar(total), one])
is_later = op("Greater", [op("Unsqueeze", [keys, integers(0)]), op("Unsqueeze", [positions, integers(1)])])
mask = op("Where", [is_later, number(numpy.finfo(numpy.float32).min), number(0)])

frequencies = weight("frequencies", (THETA ** -(numpy.arange(0, HEAD, 2) / HEAD)).astype(numpy.float32))
angles = op("Unsqueeze", [op("Cast", [positions], to=TensorProto.FLOAT), integers(1)])
angles = op("Mul", [angles, op("Unsqueeze", [frequencies, integers(0)])])
angles = op("Concat", [angles, angles], axis=-1)
cos, sin = op("Cos", [angles]), op("Sin", [angles])

x = op("Gather", [weight("words", rng.standard_normal((WORDS, SIZE)).astype(numpy.float32)), "input_ids"], axis=0)
for layer in range(LAYERS):
    x = op("Add", [x, attention(rms_norm(x, f"l{layer}.norm1"), layer)])
    x = op("Add", [x, gated(rms_norm(x, f"l{layer}.norm2"), layer)])
op("MatMul", [rms_norm(x, "norm"), random("head", SIZE, WORDS)], output="logits")

value = helper.make_tensor_value_info
caches = [f"{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]
graph = helper.make_graph(
    nodes,
    "llama",
    [value("input_ids", TensorProto.INT64, ["batch", "sequence"])]
    + [value(f"past.{name}", TensorProto.FLOAT, ["batch", KEY_HEADS, "past", HEAD]) for name in caches],
    [value("logits", TensorProto.FLOAT, ["batch", "sequence", WORDS])]
    + [value(f"present.{name}", TensorProto.FLOAT, ["batch", KEY_HEADS, "total", HEAD]) for name in caches],
    weights,
)
model = helper.make_model(graph, producer_name="make.py", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
with open("model.onnx", "wb") as file:
    file.write(model.SerializeToString())

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
prompt = rng.integers(0, WORDS, (2, 7))
token = rng.integers(0, WORDS, (2, 1))
empty = {f"past.{name}": numpy.zeros((2, KEY_HEADS, 0, HEAD), numpy.float32) for name in caches}
names = ["logits"] + [f"present.{name}" for name in caches]
first = dict(zip(names, session.run(names, {"input_ids": prompt, **empty})))
filled = {f"past.{name}": first[f"present.{name}"] for name in caches}
then = dict(zip(names, session.run(names, {"input_ids": token, **filled})))
digits = lambda values: [float("%.9g" % x) for x in values.ravel().tolist()]
with open("expected.json", "w") as file:
    json.dump(
        {
            "prompt": prompt.tolist(),
            "token": token.tolist(),
            "prompt_logits": digits(first["logits"]),
            "token_logits": digits(then["logits"]),
        },
        file,
    )
