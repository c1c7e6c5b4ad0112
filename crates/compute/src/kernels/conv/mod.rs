//! Convolution and its gradients as products whose operand is read straight from the image: a sample's planes are copied
//! once with their padding, so that every step of K is a vector at a fixed offset, and nothing is unfolded. The order of
//! K is (input channel, kernel row, kernel column) forward, (output channel, kernel row, kernel column) for the input
//! gradient, and (sample, output row, output column) for the weight gradient; padding takes part as +0. Channels of one
//! group only meet each other.

mod channels;
mod correlate;
pub(crate) mod depthwise;
mod planes;
mod positions;
#[cfg(test)]
mod tests;
mod weight;

use super::scratch::Scratch;
use correlate::Correlation;
use planes::{Planes, Source};

/// Sizes of a convolution, forward view. Images are \[samples, channels, height, width\], weights
/// \[out_channels, channels / groups, kernel_height, kernel_width\]. Pairs are (vertical, horizontal).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv {
    pub(crate) samples: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_channels: usize,
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Zeros before the first row and column; as many follow the last as the output's sizes need.
    pub(crate) low: [usize; 2],
    pub(crate) groups: usize,
}

/// What is done to an output element before it is stored, with the bits of separate passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue<'a> {
    Nothing,
    /// Plus the bias of its channel.
    Bias(&'a [f32]),
    /// The same, then relu.
    BiasRelu(&'a [f32]),
}

impl Conv {
    /// y \[samples, out_channels, out_height, out_width\] is overwritten.
    pub(crate) fn forward(&self, scratch: &mut Scratch, x: &[f32], weight: &[f32], y: &mut [f32]) {
        self.forward_with(scratch, x, weight, Epilogue::Nothing, y);
    }

    /// The same, with what follows it in one pass.
    pub(crate) fn forward_with(
        &self,
        scratch: &mut Scratch,
        x: &[f32],
        weight: &[f32],
        epilogue: Epilogue<'_>,
        y: &mut [f32],
    ) {
        self.check(x, weight, y);
        if let Epilogue::Bias(bias) | Epilogue::BiasRelu(bias) = epilogue {
            assert_eq!(bias.len(), self.out_channels, "one bias a channel");
        }
        let planes = Planes::forward(self);
        let source = Source { data: x, height: self.height, width: self.width };
        if self.is_depthwise() {
            let correlation = depthwise::Correlation {
                samples: self.samples,
                channels: self.channels,
                out: [self.out_height, self.out_width],
                row_step: self.stride[0],
                planes,
                offsets: depthwise::offsets(self, &planes),
            };
            return correlation.run(scratch, source, weight, epilogue, y);
        }
        let correlation = Correlation {
            samples: self.samples,
            groups: self.groups,
            channels: self.group_channels(),
            rows: self.group_out_channels(),
            kernel: [self.kernel_height, self.kernel_width],
            out: [self.out_height, self.out_width],
            row_step: self.stride[0],
            planes,
            flipped: false,
        };
        correlation.run(scratch, source, weight, epilogue, y);
    }

    /// dx \[samples, channels, height, width\] is overwritten.
    pub(crate) fn grad_input(&self, scratch: &mut Scratch, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
        self.check(dx, weight, dy);
        let planes = Planes::backward(self);
        let source = Source { data: dy, height: self.out_height, width: self.out_width };
        if self.is_depthwise() {
            let mut offsets = depthwise::offsets(self, &planes);
            // The kernel runs from its last position to the first.
            offsets.reverse();
            let correlation = depthwise::Correlation {
                samples: self.samples,
                channels: self.channels,
                out: [self.height, self.width],
                row_step: 1,
                planes,
                offsets,
            };
            return correlation.run(scratch, source, weight, Epilogue::Nothing, dx);
        }
        let correlation = Correlation {
            samples: self.samples,
            groups: self.groups,
            channels: self.group_out_channels(),
            rows: self.group_channels(),
            kernel: [self.kernel_height, self.kernel_width],
            out: [self.height, self.width],
            row_step: 1,
            planes,
            flipped: true,
        };
        correlation.run(scratch, source, weight, Epilogue::Nothing, dx);
    }

    /// dweight \[out_channels, channels / groups, kernel_height, kernel_width\] is overwritten.
    pub(crate) fn grad_weight(&self, scratch: &mut Scratch, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
        self.check(x, dweight, dy);
        if self.is_depthwise() {
            return depthwise::weight_gradient(self, scratch, x, dy, dweight);
        }
        weight::gradient(self, scratch, x, dy, dweight);
    }

    fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    fn group_out_channels(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Steps of K forward.
    fn depth(&self) -> usize {
        self.group_channels() * self.kernel_height * self.kernel_width
    }

    fn check(&self, x: &[f32], weight: &[f32], y: &[f32]) {
        let groups = self.groups;
        assert!(groups > 0 && self.channels.is_multiple_of(groups) && self.out_channels.is_multiple_of(groups));
        assert!(self.stride.iter().chain(&self.dilation).all(|step| *step > 0), "steps are positive");
        assert_eq!(x.len(), self.samples * self.channels * self.height * self.width, "images");
        assert_eq!(weight.len(), self.out_channels * self.depth(), "weights");
        assert_eq!(y.len(), self.samples * self.out_channels * self.out_height * self.out_width, "outputs");
    }
}
