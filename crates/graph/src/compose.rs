//! What models are made of, composed of primitive operations. Everything here only adds nodes; a backend sees the
//! primitives and fuses what is next to each other.

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::ValueId,
    op::{Binary, DType, Literal, Op, Reduction, Unary, Window2d},
};

type Made = Result<ValueId, GraphError>;

/// Elementary maths.
impl GraphBuilder {
    /// An f32 scalar.
    pub fn scalar(&mut self, value: f32) -> Made {
        self.apply(Op::Constant(Literal::scalar(value)), &[])
    }

    /// Zeros of a shape.
    pub fn zeros(&mut self, shape: &[u32]) -> Made {
        let zero = self.scalar(0.0)?;
        self.broadcast(zero, shape)
    }

    /// x stretched to a shape.
    pub fn broadcast(&mut self, x: ValueId, shape: &[u32]) -> Made {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.apply(Op::Broadcast { shape: shape.to_vec() }, &[x])
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: ValueId, shape: &[u32]) -> Made {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.apply(Op::Reshape { shape: shape.to_vec() }, &[x])
    }

    /// Axis i of the result is axis `axes[i]` of x.
    pub fn transpose(&mut self, x: ValueId, axes: &[u32]) -> Made {
        self.apply(Op::Transpose { axes: axes.to_vec() }, &[x])
    }

    /// An operation on each element.
    pub fn unary(&mut self, unary: Unary, x: ValueId) -> Made {
        self.apply(Op::Unary(unary), &[x])
    }

    /// An operation on two tensors that broadcast.
    pub fn binary(&mut self, binary: Binary, a: ValueId, b: ValueId) -> Made {
        self.apply(Op::Binary(binary), &[a, b])
    }

    /// a + b.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> Made {
        self.binary(Binary::Add, a, b)
    }

    /// a − b.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> Made {
        self.binary(Binary::Sub, a, b)
    }

    /// a·b, element by element.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Made {
        self.binary(Binary::Mul, a, b)
    }

    /// a/b.
    pub fn div(&mut self, a: ValueId, b: ValueId) -> Made {
        self.binary(Binary::Div, a, b)
    }

    /// x + c.
    pub fn add_scalar(&mut self, x: ValueId, c: f32) -> Made {
        let c = self.scalar(c)?;
        self.add(x, c)
    }

    /// c·x.
    pub fn scale(&mut self, x: ValueId, c: f32) -> Made {
        let c = self.scalar(c)?;
        self.mul(x, c)
    }

    /// Truth values as f32, or f32 as integers rounded towards zero.
    pub fn cast(&mut self, x: ValueId, to: DType) -> Made {
        if self.value_type(x).dtype == to {
            return Ok(x);
        }
        self.apply(Op::Cast { to }, &[x])
    }

    /// a where the condition is not 0, else b.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Made {
        self.apply(Op::Where, &[condition, a, b])
    }

    /// x combined over axes, which stay with dimension 1.
    pub fn reduce(&mut self, reduction: Reduction, x: ValueId, axes: &[u32]) -> Made {
        if axes.is_empty() {
            return Ok(x);
        }
        let mut kept = self.shape(x).to_vec();
        for axis in axes {
            if let Some(dim) = kept.get_mut(*axis as usize) {
                *dim = 1;
            }
        }
        let reduced = self.apply(Op::Reduce { reduction, axes: axes.to_vec() }, &[x])?;
        self.reshape(reduced, &kept)
    }

    /// Mean over axes, which stay with dimension 1.
    pub fn mean(&mut self, x: ValueId, axes: &[u32]) -> Made {
        let shape = self.shape(x);
        let count: u64 = axes.iter().filter_map(|axis| shape.get(*axis as usize)).map(|dim| u64::from(*dim)).product();
        let sum = self.reduce(Reduction::Sum, x, axes)?;
        let count = self.scalar(count as f32)?;
        self.div(sum, count)
    }

    /// a·b over the last two dimensions, with optional transposition of either. A b of rank 2 is used for every a.
    pub fn mat_mul(&mut self, a: ValueId, b: ValueId, trans_a: bool, trans_b: bool) -> Made {
        let (a_shape, b_rank) = (self.shape(a).to_vec(), self.shape(b).len());
        let op = Op::MatMul { trans_a, trans_b };
        if a_shape.len() <= 2 || b_rank != 2 || trans_a {
            return self.apply(op, &[a, b]);
        }
        let rows = elements_before_last(&a_shape);
        let flat = self.reshape(a, &[rows, a_shape[a_shape.len() - 1]])?;
        let made = self.apply(op, &[flat, b])?;
        let mut shape = a_shape;
        *shape.last_mut().expect("its rank is 3 at least") = self.shape(made)[1];
        self.reshape(made, &shape)
    }
}

/// Layers.
impl GraphBuilder {
    /// x·Wᵀ + b with x \[…, in\], weight \[out, in\] and bias \[out\].
    pub fn dense(&mut self, x: ValueId, weight: ValueId, bias: Option<ValueId>) -> Made {
        let y = self.mat_mul(x, weight, false, true)?;
        match bias {
            Some(bias) => self.add(y, bias),
            None => Ok(y),
        }
    }

    /// Convolution of x \[n, c, h, w\] with weight \[o, c/groups, kh, kw\], and bias \[o\].
    pub fn conv2d(
        &mut self,
        x: ValueId,
        weight: ValueId,
        bias: Option<ValueId>,
        window: Window2d,
        groups: u32,
    ) -> Made {
        let y = self.apply(Op::Conv2d { window, groups }, &[x, weight])?;
        match bias {
            Some(bias) => {
                let bias = self.per_channel(bias)?;
                self.add(y, bias)
            }
            None => Ok(y),
        }
    }

    /// \[c\] as \[c, 1, 1\], which broadcasts over images.
    pub fn per_channel(&mut self, x: ValueId) -> Made {
        let channels = self.shape(x).iter().product();
        self.reshape(x, &[channels, 1, 1])
    }

    /// (x − mean)/√(variance + ε) over axes, all of which stay.
    pub fn standardise(&mut self, x: ValueId, axes: &[u32], epsilon: f32) -> Made {
        let mean = self.mean(x, axes)?;
        let centred = self.sub(x, mean)?;
        self.by_root_mean_square(centred, axes, epsilon)
    }

    /// x/√(mean x² + ε) over axes.
    pub fn by_root_mean_square(&mut self, x: ValueId, axes: &[u32], epsilon: f32) -> Made {
        let square = self.mul(x, x)?;
        let mean = self.mean(square, axes)?;
        let mean = self.add_scalar(mean, epsilon)?;
        let root = self.unary(Unary::Sqrt, mean)?;
        let inverse = self.unary(Unary::Reciprocal, root)?;
        self.mul(x, inverse)
    }

    /// Layer norm over the last axis (Ba et al. 2016).
    pub fn layer_norm(&mut self, x: ValueId, weight: ValueId, bias: Option<ValueId>, epsilon: f32) -> Made {
        let last = self.last_axis(x);
        let y = self.standardise(x, &[last], epsilon)?;
        let y = self.mul(y, weight)?;
        match bias {
            Some(bias) => self.add(y, bias),
            None => Ok(y),
        }
    }

    /// RMS norm over the last axis (Zhang & Sennrich 2019).
    pub fn rms_norm(&mut self, x: ValueId, weight: ValueId, epsilon: f32) -> Made {
        let last = self.last_axis(x);
        let y = self.by_root_mean_square(x, &[last], epsilon)?;
        self.mul(y, weight)
    }

    /// Group norm of x \[n, c, …\] (Wu & He 2018); one group a channel is instance norm.
    pub fn group_norm(&mut self, x: ValueId, groups: u32, weight: ValueId, bias: ValueId, epsilon: f32) -> Made {
        let shape = self.shape(x).to_vec();
        let rest = shape.iter().skip(1).product::<u32>() / groups.max(1);
        let grouped = self.reshape(x, &[shape[0], groups, rest])?;
        let y = self.standardise(grouped, &[2], epsilon)?;
        let y = self.reshape(y, &shape)?;
        let per_channel: Vec<u32> = (1..shape.len()).map(|axis| if axis == 1 { shape[1] } else { 1 }).collect();
        let (weight, bias) = (self.reshape(weight, &per_channel)?, self.reshape(bias, &per_channel)?);
        let y = self.mul(y, weight)?;
        self.add(y, bias)
    }

    /// x·Φ(x) (Hendrycks & Gimpel 2016).
    pub fn gelu(&mut self, x: ValueId) -> Made {
        let scaled = self.scale(x, std::f32::consts::FRAC_1_SQRT_2)?;
        let erf = self.unary(Unary::Erf, scaled)?;
        self.half_of_one_plus(x, erf)
    }

    /// GELU by tanh: ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    pub fn gelu_tanh(&mut self, x: ValueId) -> Made {
        let square = self.mul(x, x)?;
        let cube = self.mul(square, x)?;
        let cube = self.scale(cube, 0.044_715)?;
        let inner = self.add(x, cube)?;
        let inner = self.scale(inner, 0.797_884_6)?;
        let tanh = self.unary(Unary::Tanh, inner)?;
        self.half_of_one_plus(x, tanh)
    }

    fn half_of_one_plus(&mut self, x: ValueId, y: ValueId) -> Made {
        let y = self.add_scalar(y, 1.0)?;
        let product = self.mul(x, y)?;
        self.scale(product, 0.5)
    }

    /// x·σ(x).
    pub fn silu(&mut self, x: ValueId) -> Made {
        let sigmoid = self.unary(Unary::Sigmoid, x)?;
        self.mul(x, sigmoid)
    }

    /// ln(1 + e^x), without overflow: max(x, 0) + ln(1 + e^−|x|). At 0 the tie of x and 0 gives the slope ½.
    pub fn softplus(&mut self, x: ValueId) -> Made {
        let size = self.unary(Unary::Abs, x)?;
        let negative = self.unary(Unary::Neg, size)?;
        let small = self.unary(Unary::Exp, negative)?;
        let small = self.add_scalar(small, 1.0)?;
        let small = self.unary(Unary::Log, small)?;
        let zero = self.scalar(0.0)?;
        let positive = self.binary(Binary::Max, x, zero)?;
        self.add(positive, small)
    }

    /// x − ln Σ e^x over the last axis, by way of the greatest.
    pub fn log_softmax(&mut self, x: ValueId) -> Made {
        let last = self.last_axis(x);
        let greatest = self.reduce(Reduction::Max, x, &[last])?;
        let shifted = self.sub(x, greatest)?;
        let exponentials = self.unary(Unary::Exp, shifted)?;
        let sum = self.reduce(Reduction::Sum, exponentials, &[last])?;
        let log = self.unary(Unary::Log, sum)?;
        self.sub(shifted, log)
    }

    /// Scaled dot-product attention (Vaswani et al. 2017) of q \[b, h, s, d\] over k and v \[b, h, t, d\]. Causal: query i
    /// sees the keys up to t − s + i, so that t > s continues a cache.
    pub fn attention(&mut self, q: ValueId, k: ValueId, v: ValueId, scale: f32, is_causal: bool) -> Made {
        let scores = self.mat_mul(q, k, false, true)?;
        let scores = self.scale(scores, scale)?;
        let scores = if is_causal { self.causal(scores)? } else { scores };
        let weights = self.apply(Op::Softmax, &[scores])?;
        self.mat_mul(weights, v, false, false)
    }

    /// Scores \[…, s, t\] with −∞ where a key comes after the query.
    fn causal(&mut self, scores: ValueId) -> Made {
        let [.., s, t] = *self.shape(scores) else { unreachable!("a product has two dimensions at least") };
        let key = self.apply(Op::Iota { axis: 1, shape: vec![1, t] }, &[])?;
        let query = self.apply(Op::Iota { axis: 0, shape: vec![s, 1] }, &[])?;
        let past = self.apply(Op::Constant(Literal::integer(t.saturating_sub(s) as i32)), &[])?;
        let query = self.add(query, past)?;
        let seen = self.binary(Binary::LessEqual, key, query)?;
        let never = self.scalar(f32::NEG_INFINITY)?;
        self.select(seen, scores, never)
    }

    /// Rotary position embedding (Su et al. 2021) of x \[…, s, d\], halves rotated: cos and sin \[s, d/2\] broadcast.
    pub fn rotary(&mut self, x: ValueId, cos: ValueId, sin: ValueId) -> Made {
        let (last, shape) = (self.last_axis(x), self.shape(x).to_vec());
        let half = shape.last().map_or(1, |dim| (dim / 2).max(1));
        let a = self.slice(x, last, 0, half)?;
        let b = self.slice(x, last, half, half)?;
        let (ac, bs) = (self.mul(a, cos)?, self.mul(b, sin)?);
        let (bc, aus) = (self.mul(b, cos)?, self.mul(a, sin)?);
        let (first, second) = (self.sub(ac, bs)?, self.add(bc, aus)?);
        self.apply(Op::Concat { axis: last }, &[first, second])
    }

    /// `len` elements along an axis from `start`.
    pub fn slice(&mut self, x: ValueId, axis: u32, start: u32, len: u32) -> Made {
        let mut shape = self.shape(x).to_vec();
        let mut starts = vec![0; shape.len()];
        if let (Some(dim), Some(at)) = (shape.get_mut(axis as usize), starts.get_mut(axis as usize)) {
            (*dim, *at) = (len, start);
        }
        self.apply(Op::Slice { starts, steps: vec![1; shape.len()], shape }, &[x])
    }

    /// Rows of a table \[n, d\] by indices.
    pub fn embedding(&mut self, table: ValueId, indices: ValueId) -> Made {
        self.apply(Op::Gather { axis: 0 }, &[table, indices])
    }

    fn last_axis(&self, x: ValueId) -> u32 {
        (self.shape(x).len() as u32).saturating_sub(1)
    }
}

/// Losses, each a scalar mean.
impl GraphBuilder {
    /// Mean over all elements.
    pub fn mean_of_all(&mut self, x: ValueId) -> Made {
        let axes: Vec<u32> = (0..self.shape(x).len() as u32).collect();
        let mean = self.mean(x, &axes)?;
        self.reshape(mean, &[])
    }

    /// Cross-entropy of logits \[n, c\] and labels \[n\].
    pub fn cross_entropy(&mut self, logits: ValueId, labels: ValueId) -> Made {
        self.apply(Op::SoftmaxCrossEntropy, &[logits, labels])
    }

    /// Mean square error.
    pub fn mean_square_error(&mut self, x: ValueId, target: ValueId) -> Made {
        let difference = self.sub(x, target)?;
        let square = self.mul(difference, difference)?;
        self.mean_of_all(square)
    }

    /// Binary cross-entropy of logits and targets in 0 to 1: softplus(x) − x·target.
    pub fn binary_cross_entropy(&mut self, logits: ValueId, target: ValueId) -> Made {
        let softplus = self.softplus(logits)?;
        let product = self.mul(logits, target)?;
        let loss = self.sub(softplus, product)?;
        self.mean_of_all(loss)
    }

    /// Kullback–Leibler divergence of softmax(logits) from target distributions \[…, c\], mean over the rows: Σ target·(ln
    /// target − ln softmax). Targets must be above 0.
    pub fn divergence(&mut self, logits: ValueId, target: ValueId) -> Made {
        let log_softmax = self.log_softmax(logits)?;
        let log_target = self.unary(Unary::Log, target)?;
        let difference = self.sub(log_target, log_softmax)?;
        let product = self.mul(target, difference)?;
        let last = self.last_axis(product);
        let rows = self.reduce(Reduction::Sum, product, &[last])?;
        self.mean_of_all(rows)
    }
}

fn elements_before_last(shape: &[u32]) -> u32 {
    // The whole tensor is within the element limit, so a part of it fits in u32.
    shape[..shape.len() - 1].iter().product()
}
