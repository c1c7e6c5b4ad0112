//! Operations with windows over images: convolutions, their gradients, and pooling.

use shoal_graph::{Op, Window2d};

use super::{Call, Operand, Plan, products, reduce, tiles};
use crate::webgpu::{
    kernel::Kernel,
    tile::{Cut, DEPTH, Product, Sizes},
};

/// Most chunks that a weight gradient is split into: enough to fill a GPU together with the weights, few enough that the
/// partial sums stay small.
const MAX_CHUNKS: u32 = 32;

/// A convolution or one of its gradients.
pub(super) fn convolution(call: &Call<'_>) -> Plan {
    match &call.node.op {
        Op::Conv2d { window, groups } => {
            let conv = Conv::new(window, *groups, call.shape(0), call.shape(1), call.made());
            let sizes = conv.sizes(conv.outputs, conv.samples * conv.out[0] * conv.out[1], conv.weights());
            if let Some(plan) = by_tiles(call, &conv, sizes, Product::Conv2d) {
                return plan;
            }
            let tiles = tiles(sizes.m) * tiles(sizes.n);
            call.one(Kernel::Conv2d, &conv.words(0, 0), u64::from(conv.groups) * tiles)
        }
        Op::Conv2dGradInput { window, groups, .. } => {
            let conv = Conv::new(window, *groups, call.made(), call.shape(0), call.shape(1));
            let depth = conv.outputs * conv.kernel[0] * conv.kernel[1];
            let sizes = conv.sizes(conv.channels, conv.samples * conv.image[0] * conv.image[1], depth);
            if let Some(plan) = by_tiles(call, &conv, sizes, Product::Conv2dGradInput) {
                return plan;
            }
            let tiles = tiles(sizes.m) * tiles(sizes.n);
            call.one(Kernel::Conv2dGradInput, &conv.words(0, 0), u64::from(conv.groups) * tiles)
        }
        Op::Conv2dGradWeight { window, groups, .. } => {
            let conv = Conv::new(window, *groups, call.shape(0), call.made(), call.shape(1));
            let sizes = conv.sizes(conv.outputs, conv.weights(), conv.samples * conv.out[0] * conv.out[1]);
            by_tiles(call, &conv, sizes, Product::Conv2dGradWeight).unwrap_or_else(|| grad_weight(call, &conv))
        }
        op => unreachable!("{} is no convolution", op.name()),
    }
}

/// By tiles, where that pays. Only a weight's gradient sums over enough for its sum to be split.
fn by_tiles(call: &Call<'_>, conv: &Conv, sizes: Sizes, product: Product) -> Option<Plan> {
    let mut cut = Cut::choose(sizes, call.device.choice, call.device.is_fallback)?;
    if product != Product::Conv2dGradWeight {
        cut = Cut { chunks: 1, chunk: sizes.k.next_multiple_of(DEPTH), ..cut };
    }
    Some(products::by_tiles(call, sizes, cut, product, &conv.words(0, 0)))
}

/// Partial gradients of some samples each, then their sum.
fn grad_weight(call: &Call<'_>, conv: &Conv) -> Plan {
    let samples_per_chunk = conv.samples.div_ceil(MAX_CHUNKS);
    let chunks = conv.samples.div_ceil(samples_per_chunk);
    let depth = conv.weights();
    let invocations = u64::from(chunks) * u64::from(conv.groups) * tiles(conv.outputs) * tiles(depth);
    let words = conv.words(samples_per_chunk, chunks);
    let mut parts = call.dispatch(Kernel::Conv2dGradWeight, &words, invocations);
    if chunks == 1 {
        return call.plan(vec![parts]);
    }
    let result = std::mem::replace(&mut parts.results, vec![Operand::Scratch(0)])[0];
    let total = reduce::sum_rows(call.len(), chunks.into(), Operand::Scratch(0), result);
    Plan { scratch: vec![u64::from(chunks) * call.len()], ..call.plan(vec![parts, total]) }
}

/// Sizes of a convolution; channels and outputs of one group.
struct Conv {
    window: Window2d,
    samples: u32,
    groups: u32,
    channels: u32,
    outputs: u32,
    image: [u32; 2],
    kernel: [u32; 2],
    out: [u32; 2],
}

impl Conv {
    fn new(window: &Window2d, groups: u32, image: &[u32], weight: &[u32], out: &[u32]) -> Self {
        Self {
            window: *window,
            samples: image[0],
            groups,
            channels: weight[1],
            outputs: weight[0] / groups,
            image: [image[2], image[3]],
            kernel: [weight[2], weight[3]],
            out: [out[2], out[3]],
        }
    }

    /// The convolution as a product, for each group.
    fn sizes(&self, m: u32, n: u32, k: u32) -> Sizes {
        Sizes { batch: self.groups, m, n, k }
    }

    /// Weights of an output channel.
    fn weights(&self) -> u32 {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// Parameters in the order of `conv2d_common.wgsl`.
    fn words(&self, samples_per_chunk: u32, chunks: u32) -> Vec<u32> {
        let Window2d { height, width } = self.window;
        let ([h, w], [kh, kw], [oh, ow]) = (self.image, self.kernel, self.out);
        let sizes = [self.samples, self.channels, h, w, self.outputs, kh, kw, oh, ow, self.groups];
        let steps = [height.stride, width.stride, height.dilation, width.dilation, height.low, width.low];
        [&sizes[..], &steps, &[samples_per_chunk, chunks]].concat()
    }
}

/// Pooling or one of its gradients.
pub(super) fn pooling(call: &Call<'_>) -> Plan {
    let (image, out) = match &call.node.op {
        Op::MaxPool2dGrad { .. } => (call.shape(0), call.shape(1)),
        Op::SumPool2dGrad { .. } => (call.made(), call.shape(0)),
        _ => (call.shape(0), call.made()),
    };
    match &call.node.op {
        Op::MaxPool2d { window, kernel_height, kernel_width } => {
            let words = pool_words(call.len(), window, [*kernel_height, *kernel_width], image, out);
            call.one(Kernel::MaxPool, &words, call.len())
        }
        Op::SumPool2d { window, kernel_height, kernel_width } => {
            let words = pool_words(call.len(), window, [*kernel_height, *kernel_width], image, out);
            call.one(Kernel::SumPool, &words, call.len())
        }
        Op::SumPool2dGrad { window, kernel_height, kernel_width, .. } => {
            let words = pool_words(call.len(), window, [*kernel_height, *kernel_width], image, out);
            call.one(Kernel::SumPoolGrad, &words, call.len())
        }
        Op::MaxPool2dGrad { window, kernel_height, kernel_width } => {
            let (kernel, windows) = ([*kernel_height, *kernel_width], out.iter().map(|dim| u64::from(*dim)).product());
            let [x, dy] = call.operands()[..] else { unreachable!("it has two operands") };
            let mut winners =
                call.dispatch(Kernel::MaxPoolPositions, &pool_words(windows, window, kernel, image, out), windows);
            (winners.results, winners.operands) = (vec![Operand::Scratch(0)], vec![x]);
            let words = pool_words(call.len(), window, kernel, image, out);
            let mut gradient = call.dispatch(Kernel::MaxPoolGrad, &words, call.len());
            gradient.operands = vec![Operand::Scratch(0), dy];
            Plan { scratch: vec![windows], ..call.plan(vec![winners, gradient]) }
        }
        op => unreachable!("{} pools nothing", op.name()),
    }
}

/// Parameters in the order of `pool.wgsl`.
fn pool_words(len: u64, window: &Window2d, kernel: [u32; 2], image: &[u32], out: &[u32]) -> [u32; 14] {
    let Window2d { height, width } = window;
    [
        len as u32,
        image[2],
        image[3],
        out[2],
        out[3],
        kernel[0],
        kernel[1],
        height.stride,
        width.stride,
        height.dilation,
        width.dilation,
        height.low,
        width.low,
        f32::NEG_INFINITY.to_bits(),
    ]
}
