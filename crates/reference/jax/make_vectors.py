"""Values and gradients of operations and of whole nets by JAX in f64, for tests/jax.rs.

Made with Python 3 and jax 0.10.2 on a CPU:

    python3 -m venv VENV && VENV/bin/pip install jax==0.10.2 numpy
    VENV/bin/python crates/reference/jax/make_vectors.py > crates/reference/jax/vectors.json

Inputs are drawn by the linear congruence `Numbers` that crates/reference/src/numbers.rs has too, so the file holds results
alone. Each case is a function of its inputs in0, in1, ...; r is one more input of the result's shape, the loss is sum(y * r)
and grad{i} the loss's gradient for each float input. A net's loss is its own, with a gradient for each parameter.

The cases named point.… are of given numbers: ties, zeros, and where a slope is infinite (written as a string).

Constants of Shoal's layers are f32, and so they are here (`c`). Where Shoal differs from JAX:
- the slope of |x| at 0 is 0, not 1, and that of x**0 in x at 0 is 0, not NaN; no case has them;
- the slope of erf has the f32 constant 2/sqrt(pi), here by a rule of its own (`erf`).
"""

import json
import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)


class Numbers:
    def __init__(self, seed):
        self.state = seed

    def real(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 8388608.0 - 1.0

    def whole(self, least, most):
        return least + int((self.real() + 1.0) * 0.5 * (most - least + 1))


def between(low, high, *shape):
    return shape, float, lambda n, count: [low + (n.real() + 1.0) * 0.5 * (high - low) for _ in range(count)]


def f(*shape):
    return between(-1.0, 1.0, *shape)


def away(*shape):
    def draw(n, count):
        return [x + math.copysign(0.1, x) for x in [n.real() for _ in range(count)]]

    return shape, float, draw


def distinct(*shape):
    def draw(n, count):
        drawn = [(i - count / 2.0 + 0.25) / 16.0 for i in range(count)]
        for i in range(count - 1, 0, -1):
            j = n.whole(0, i)
            drawn[i], drawn[j] = drawn[j], drawn[i]
        return drawn

    return shape, float, draw


def below(most, *shape):
    return shape, int, lambda n, count: [n.whole(0, most - 1) for _ in range(count)]


def given(values, *shape):
    return shape, float, lambda n, count: values


def draw(spec, numbers):
    shape, kind, numbers_of = spec
    drawn = numbers_of(numbers, math.prod(shape))
    return jnp.array(np.array(drawn, dtype=np.float64 if kind is float else np.int32).reshape(shape))


cases = {}


def listed(x):
    return [y if math.isfinite(y) else str(y) for y in np.asarray(x, dtype=np.float64).reshape(-1).tolist()]


def case(name, inputs, function):
    seed = 1000 + len(cases)
    numbers = Numbers(seed)
    x = [draw(spec, numbers) for spec in inputs]
    y = function(*x)
    r = draw(f(*y.shape), numbers)
    floats = [i for i, spec in enumerate(inputs) if spec[1] is float]
    gradients = jax.grad(lambda *x: jnp.sum(function(*x) * r), argnums=tuple(floats))(*x) if floats else []
    outputs = {"y": listed(y)}
    outputs |= {f"grad{i}": listed(g) for i, g in zip(floats, gradients)}
    cases[name] = {"seed": seed, "outputs": outputs}


def net(name, parameters, given, loss):
    seed = 1000 + len(cases)
    numbers = Numbers(seed)
    parameters = {name: draw(f(*shape), numbers) for name, shape in parameters.items()}
    given = {name: draw(spec, numbers) for name, spec in given.items()}
    value, gradients = jax.value_and_grad(lambda p: loss(p, given))(parameters)
    outputs = {"loss": listed(value)} | {f"grad.{name}": listed(g) for name, g in gradients.items()}
    cases[name] = {"seed": seed, "outputs": outputs}


def c(constant):
    return float(np.float32(constant))


@jax.custom_jvp
def erf(x):
    return jax.scipy.special.erf(x)


@erf.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return erf(x), t * c(2 / math.sqrt(math.pi)) * jnp.exp(-x * x)


def xent(logits, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


def conv(x, w, strides=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    return lax.conv_general_dilated(
        x, w, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"), precision=lax.Precision.HIGHEST,
    )


def pool(x, start, combine, kernel, strides, padding):
    return lax.reduce_window(x, start, combine, (1, 1, *kernel), (1, 1, *strides), ((0, 0), (0, 0), *padding))


def operations():
    smooth = (-2.0, 2.0)
    for name, function, (low, high) in [
        ("neg", jnp.negative, smooth), ("abs", jnp.abs, (0.2, 2.0)), ("sign", jnp.sign, (0.2, 2.0)),
        ("floor", jnp.floor, (1.1, 1.9)), ("ceil", jnp.ceil, (1.1, 1.9)), ("round", jnp.round, (1.1, 1.4)),
        ("sqrt", jnp.sqrt, (0.5, 3.0)), ("reciprocal", lambda x: 1.0 / x, (-3.0, -0.7)), ("exp", jnp.exp, smooth),
        ("log", jnp.log, (0.5, 3.0)), ("sin", jnp.sin, smooth), ("cos", jnp.cos, smooth), ("tanh", jnp.tanh, smooth),
        ("erf", erf, smooth), ("sigmoid", jax.nn.sigmoid, smooth),
    ]:
        case(name, [between(low, high, 2, 5)], function)
    case("relu", [away(2, 5)], jax.nn.relu)
    real = lambda compare: lambda a, b: compare(a, b).astype(jnp.float64)
    for name, function in [
        ("add", jnp.add), ("sub", jnp.subtract), ("mul", jnp.multiply), ("div", jnp.divide), ("max", jnp.maximum),
        ("min", jnp.minimum), ("pow", jnp.power), ("less", real(jnp.less)), ("less_equal", real(jnp.less_equal)),
        ("equal", real(jnp.equal)),
    ]:
        case(name, [between(0.3, 2.0, 3, 1, 4), between(0.3, 2.0, 2, 1)], function)
    case("where", [below(2, 3, 1), f(4), f(2, 1, 4)], lambda k, a, b: jnp.where(k != 0, a, b))
    case("reshape", [f(2, 6)], lambda x: x.reshape(3, 4))
    case("transpose", [f(2, 3, 4)], lambda x: x.transpose(2, 0, 1))
    case("broadcast", [f(3, 1)], lambda x: jnp.broadcast_to(x, (2, 3, 4)))
    case("slice", [f(6, 7)], lambda x: x[1:6:2, 5:0:-2])
    case("pad", [f(2, 3)], lambda x: lax.pad(x, jnp.float64(c(0.3)), ((1, 0, 2), (0, 2, 1))))
    case("concat", [f(2, 1, 2), f(2, 3, 2), f(2, 2, 2)], lambda *x: jnp.concatenate(x, axis=1))
    case("gather", [f(2, 5, 3), below(5, 2, 4)], lambda x, i: jnp.take(x, i, axis=1))
    case("scatter_add", [f(2, 2, 4, 3), below(5, 2, 4)], lambda u, i: jnp.zeros((2, 5, 3)).at[:, i].add(u))
    for name, function, spec in [
        ("sum", jnp.sum, f), ("product", jnp.prod, away), ("max", jnp.max, distinct), ("min", jnp.min, distinct),
    ]:
        case(f"reduce_{name}", [spec(2, 3, 4)], lambda x, function=function: function(x, axis=(0, 2)))
    swap = lambda x, is_swapped: jnp.swapaxes(x, -1, -2) if is_swapped else x
    for a in (False, True):
        for b in (False, True):
            sizes = [(2, 5, 3) if a else (2, 3, 5), (2, 4, 5) if b else (2, 5, 4)]
            case(f"mat_mul_{int(a)}{int(b)}", [f(*s) for s in sizes], lambda x, y, a=a, b=b: swap(x, a) @ swap(y, b))
    wide = dict(strides=(2, 1), padding=((1, 2), (0, 1)), dilation=(1, 2), groups=2)
    x_shape, w_shape = (2, 4, 6, 5), (6, 2, 3, 2)
    convolve = lambda x, w: conv(x, w, **wide)
    case("conv2d", [f(*x_shape), f(*w_shape)], convolve)
    y_shape = jax.eval_shape(convolve, jnp.zeros(x_shape), jnp.zeros(w_shape)).shape
    grad_input = lambda w, dy: jax.vjp(lambda x: convolve(x, w), jnp.zeros(x_shape))[1](dy)[0]
    grad_weight = lambda x, dy: jax.vjp(lambda w: convolve(x, w), jnp.zeros(w_shape))[1](dy)[0]
    case("conv2d_grad_input", [f(*w_shape), f(*y_shape)], grad_input)
    case("conv2d_grad_weight", [f(*x_shape), f(*y_shape)], grad_weight)
    window = ((3, 2), (2, 1), ((1, 0), (0, 1)))
    greatest = lambda x: pool(x, -jnp.inf, lax.max, *window)
    total = lambda x: pool(x, 0.0, lax.add, *window)
    case("max_pool2d", [distinct(2, 2, 6, 5)], greatest)
    case("sum_pool2d", [f(2, 2, 6, 5)], total)
    y_shape = jax.eval_shape(total, jnp.zeros((2, 2, 6, 5))).shape
    case("sum_pool2d_grad", [f(*y_shape)], lambda dy: jax.vjp(total, jnp.zeros((2, 2, 6, 5)))[1](dy)[0])
    case("softmax", [between(-3.0, 3.0, 2, 3, 5)], jax.nn.softmax)
    case("softmax_cross_entropy", [between(-3.0, 3.0, 4, 5), below(5, 4)], xent)


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + c(1e-5)) * weight + bias


def gelu(x):
    return 0.5 * x * (1.0 + erf(x * c(math.sqrt(0.5))))


def attention(q, k, v, scale):
    s, t = q.shape[2], k.shape[2]
    seen = jnp.arange(t)[None, :] <= jnp.arange(s)[:, None] + (t - s)
    scores = jnp.where(seen, q @ jnp.swapaxes(k, -1, -2) * scale, -jnp.inf)
    return jax.nn.softmax(scores) @ v


def rotary(x, cos, sin):
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def layers():
    case("gelu", [between(-2.0, 2.0, 2, 5)], gelu)
    case("gelu_tanh", [between(-2.0, 2.0, 2, 5)],
         lambda x: 0.5 * x * (1.0 + jnp.tanh((x + x**3 * c(0.044715)) * c(0.7978846))))
    case("silu", [between(-2.0, 2.0, 2, 5)], jax.nn.silu)
    case("softplus", [between(-2.0, 2.0, 2, 5)], jax.nn.softplus)
    case("log_softmax", [distinct(3, 4)], jax.nn.log_softmax)
    case("layer_norm", [f(3, 5), f(5), f(5)], layer_norm)
    case("attention", [f(2, 2, 3, 4), f(2, 2, 5, 4), f(2, 2, 5, 4)], lambda q, k, v: attention(q, k, v, 0.5))
    case("rotary", [f(2, 3, 4), f(3, 2), f(3, 2)], rotary)


def nets():
    def mlp(p, given):
        x = jax.nn.relu(given["x"] @ p["w1"].T + p["b1"])
        x = jnp.tanh(x @ p["w2"].T + p["b2"])
        return xent(x @ p["w3"].T + p["b3"], given["labels"])

    net("net.mlp", {"w1": (9, 7), "b1": (9,), "w2": (8, 9), "b2": (8,), "w3": (4, 8), "b3": (4,)},
        {"x": f(6, 7), "labels": below(4, 6)}, mlp)

    def conv_net(p, given):
        x = jax.nn.relu(conv(given["x"], p["conv"]) + p["conv_bias"][:, None, None])
        x = pool(x, -jnp.inf, lax.max, (2, 2), (2, 2), ((0, 0), (0, 0)))
        return xent(x.reshape(3, -1) @ p["dense"].T + p["dense_bias"], given["labels"])

    net("net.conv", {"conv": (4, 1, 3, 3), "conv_bias": (4,), "dense": (10, 100), "dense_bias": (10,)},
        {"x": f(3, 1, 12, 12), "labels": below(10, 3)}, conv_net)

    batch, seen, width, heads, vocabulary, hidden = 2, 6, 8, 2, 11, 16
    each = width // heads
    parameters = {"tokens": (vocabulary, width), "positions": (seen, width)}
    for i in range(2):
        parameters |= {f"{i}.norm1": (width,), f"{i}.norm1_bias": (width,)}
        parameters |= {f"{i}.{name}": (width, width) for name in ("q", "k", "v", "o")}
        parameters |= {f"{i}.norm2": (width,), f"{i}.norm2_bias": (width,)}
        parameters |= {f"{i}.up": (hidden, width), f"{i}.up_bias": (hidden,)}
        parameters |= {f"{i}.down": (width, hidden), f"{i}.down_bias": (width,)}
    parameters |= {"norm": (width,), "norm_bias": (width,)}

    def transformer(p, given):
        x = p["tokens"][given["tokens_in"]] + p["positions"]
        split = lambda x: x.reshape(batch, seen, heads, each).transpose(0, 2, 1, 3)
        turn = lambda x: rotary(split(x), given["cos"], given["sin"])
        for i in range(2):
            y = layer_norm(x, p[f"{i}.norm1"], p[f"{i}.norm1_bias"])
            q, k, v = (y @ p[f"{i}.{name}"].T for name in ("q", "k", "v"))
            y = attention(turn(q), turn(k), split(v), c(1 / math.sqrt(each)))
            x = x + y.transpose(0, 2, 1, 3).reshape(batch, seen, width) @ p[f"{i}.o"].T
            y = layer_norm(x, p[f"{i}.norm2"], p[f"{i}.norm2_bias"])
            y = gelu(y @ p[f"{i}.up"].T + p[f"{i}.up_bias"])
            x = x + y @ p[f"{i}.down"].T + p[f"{i}.down_bias"]
        x = layer_norm(x, p["norm"], p["norm_bias"])
        return xent((x @ p["tokens"].T).reshape(batch * seen, vocabulary), given["labels"])

    net("net.transformer", parameters, {
        "tokens_in": below(vocabulary, batch, seen), "labels": below(vocabulary, batch * seen),
        "cos": f(seen, each // 2), "sin": f(seen, each // 2),
    }, transformer)


def points():
    zeros = given([2.0, 0.0, 3.0, 0.0, 2.0, 0.0, 2.0, 3.0, 4.0, 0.0, 0.0, -0.0], 4, 3)
    case("point.reduce_product", [zeros], lambda x: jnp.prod(x, axis=1))
    case("point.reduce_product_all", [given([2.0, 3.0, 0.0, 5.0], 2, 2)], jnp.prod)
    ties = given([2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0], 3, 3)
    case("point.reduce_max", [ties], lambda x: jnp.max(x, axis=1))
    case("point.reduce_min", [ties], lambda x: jnp.min(x, axis=1))
    pairs = [given([1.0, 1.0, 2.0, 0.0, -1.0], 5), given([1.0, 2.0, 1.0, -0.0, -1.0], 5)]
    case("point.max", pairs, jnp.maximum)
    case("point.min", pairs, jnp.minimum)
    case("point.max_broadcast", [given([1.0, 1.0, 2.0], 3), given([1.0])], jnp.maximum)
    case("point.pow", [given([0.0] * 5, 5), given([2.0, 1.0, 0.5, 3.0, 1.5], 5)], jnp.power)
    case("point.pow_inverse", [given([0.0])], lambda x: x ** -1.0)
    case("point.sqrt", [given([0.0, 4.0], 2)], jnp.sqrt)
    case("point.log", [given([0.0, 1.0], 2)], jnp.log)
    case("point.reciprocal", [given([0.0, 2.0], 2)], lambda x: 1.0 / x)
    case("point.div", [given([1.0, -1.0], 2), given([0.0, 0.0], 2)], jnp.divide)
    case("point.relu", [given([0.0, -0.0, 1.0], 3)], jax.nn.relu)
    case("point.sign", [given([0.0, 2.0], 2)], jnp.sign)
    case("point.softplus", [given([0.0, 1.0], 2)], jax.nn.softplus)
    image = given([1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1, 1, 3, 3)
    case("point.max_pool2d", [image], lambda x: pool(x, -jnp.inf, lax.max, (2, 2), (1, 1), ((0, 0), (0, 0))))


operations()
layers()
nets()
points()
json.dump({"jax": jax.__version__, "cases": cases}, sys.stdout, separators=(",", ":"))
print()
