//! The three products of a convolution against their definitions, bit for bit, at every level this machine has.

use super::super::gemm::tests::{bits, numbers};
use super::super::lanes::Level;
use super::super::scratch::Scratch;
use super::{Conv, Epilogue};

/// What is under kernel position (ky, kx) for output (oy, ox), if it is not padding.
fn under(conv: &Conv, [oy, ox]: [usize; 2], [ky, kx]: [usize; 2]) -> Option<usize> {
    let y = (oy * conv.stride[0] + ky * conv.dilation[0]).checked_sub(conv.low[0])?;
    let x = (ox * conv.stride[1] + kx * conv.dilation[1]).checked_sub(conv.low[1])?;
    (y < conv.height && x < conv.width).then_some(y * conv.width + x)
}

fn each(height: usize, width: usize) -> impl Iterator<Item = [usize; 2]> + Clone {
    (0..height).flat_map(move |y| (0..width).map(move |x| [y, x]))
}

struct Indices<'a>(&'a Conv);

impl Indices<'_> {
    fn x(&self, sample: usize, channel: usize) -> usize {
        (sample * self.0.channels + channel) * self.0.height * self.0.width
    }

    fn y(&self, sample: usize, channel: usize, [oy, ox]: [usize; 2]) -> usize {
        ((sample * self.0.out_channels + channel) * self.0.out_height + oy) * self.0.out_width + ox
    }

    fn weight(&self, out_channel: usize, channel: usize, [ky, kx]: [usize; 2]) -> usize {
        ((out_channel * self.0.group_channels() + channel) * self.0.kernel_height + ky) * self.0.kernel_width + kx
    }
}

fn forward(conv: &Conv, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let at = Indices(conv);
    let mut y = vec![0.0; conv.samples * conv.out_channels * conv.out_height * conv.out_width];
    for sample in 0..conv.samples {
        for o in 0..conv.out_channels {
            let first = o / conv.group_out_channels() * conv.group_channels();
            for out in each(conv.out_height, conv.out_width) {
                let sum = &mut y[at.y(sample, o, out)];
                for c in 0..conv.group_channels() {
                    for kernel in each(conv.kernel_height, conv.kernel_width) {
                        let x = under(conv, out, kernel).map_or(0.0, |i| x[at.x(sample, first + c) + i]);
                        *sum += weight[at.weight(o, c, kernel)] * x;
                    }
                }
            }
        }
    }
    y
}

fn grad_input(conv: &Conv, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    let at = Indices(conv);
    let mut dx = vec![0.0; conv.samples * conv.channels * conv.height * conv.width];
    for sample in 0..conv.samples {
        for c in 0..conv.channels {
            let group = c / conv.group_channels();
            for position in 0..conv.height * conv.width {
                let sum = &mut dx[at.x(sample, c) + position];
                for o in 0..conv.group_out_channels() {
                    let o = group * conv.group_out_channels() + o;
                    for kernel in each(conv.kernel_height, conv.kernel_width) {
                        let carried = each(conv.out_height, conv.out_width)
                            .find(|out| under(conv, *out, kernel) == Some(position))
                            .map_or(0.0, |out| dy[at.y(sample, o, out)]);
                        *sum += weight[at.weight(o, c % conv.group_channels(), kernel)] * carried;
                    }
                }
            }
        }
    }
    dx
}

fn grad_weight(conv: &Conv, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let at = Indices(conv);
    let mut dweight = vec![0.0; conv.out_channels * conv.depth()];
    for o in 0..conv.out_channels {
        let first = o / conv.group_out_channels() * conv.group_channels();
        for c in 0..conv.group_channels() {
            for kernel in each(conv.kernel_height, conv.kernel_width) {
                let sum = &mut dweight[at.weight(o, c, kernel)];
                for sample in 0..conv.samples {
                    for out in each(conv.out_height, conv.out_width) {
                        let x = under(conv, out, kernel).map_or(0.0, |i| x[at.x(sample, first + c) + i]);
                        *sum += dy[at.y(sample, o, out)] * x;
                    }
                }
            }
        }
    }
    dweight
}

/// Geometry alone; the output's sizes follow from `high`, the zeros after the last row and column.
struct Case {
    channels: [usize; 2],
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    low: [usize; 2],
    high: [usize; 2],
    groups: usize,
}

impl Case {
    fn conv(&self) -> Conv {
        let out = |i: usize| {
            let reach = (self.kernel[i] - 1) * self.dilation[i] + 1;
            (self.size[i] + self.low[i] + self.high[i] - reach) / self.stride[i] + 1
        };
        Conv {
            samples: 2,
            channels: self.channels[0],
            height: self.size[0],
            width: self.size[1],
            out_channels: self.channels[1],
            kernel_height: self.kernel[0],
            kernel_width: self.kernel[1],
            out_height: out(0),
            out_width: out(1),
            stride: self.stride,
            dilation: self.dilation,
            low: self.low,
            groups: self.groups,
        }
    }
}

const SAME3: Case = Case {
    channels: [1, 16],
    size: [28, 28],
    kernel: [3, 3],
    stride: [1, 1],
    dilation: [1, 1],
    low: [1, 1],
    high: [1, 1],
    groups: 1,
};

fn cases() -> Vec<Case> {
    vec![
        SAME3,
        Case { channels: [16, 32], size: [14, 14], ..SAME3 },
        Case { channels: [3, 5], size: [9, 11], stride: [2, 2], ..SAME3 },
        Case { channels: [2, 7], size: [10, 13], stride: [1, 3], dilation: [2, 1], low: [0, 2], high: [3, 0], ..SAME3 },
        Case { channels: [2, 3], size: [12, 17], stride: [3, 2], dilation: [2, 3], low: [4, 1], ..SAME3 },
        Case { channels: [5, 9], size: [7, 7], kernel: [1, 1], low: [0, 0], high: [0, 0], ..SAME3 },
        Case { channels: [4, 4], size: [8, 6], kernel: [1, 1], stride: [2, 2], low: [0, 0], high: [0, 0], ..SAME3 },
        Case { channels: [3, 2], size: [5, 4], kernel: [5, 4], low: [0, 0], high: [0, 0], ..SAME3 },
        Case { channels: [2, 2], size: [3, 3], kernel: [2, 5], low: [3, 6], high: [2, 4], ..SAME3 },
        Case { channels: [6, 6], size: [9, 19], groups: 6, ..SAME3 },
        Case { channels: [6, 12], size: [9, 9], groups: 6, stride: [2, 2], ..SAME3 },
        Case { channels: [6, 4], size: [6, 33], groups: 2, dilation: [1, 2], ..SAME3 },
        // Depthwise: blocks that are full and that are not, rows of every remainder.
        Case { channels: [8, 8], size: [9, 11], groups: 8, ..SAME3 },
        Case { channels: [16, 16], size: [7, 8], groups: 16, stride: [2, 2], ..SAME3 },
        Case { channels: [37, 37], size: [6, 19], groups: 37, stride: [1, 3], dilation: [2, 1], low: [0, 2], ..SAME3 },
        Case { channels: [20, 20], size: [10, 7], groups: 20, kernel: [5, 2], stride: [3, 1], low: [4, 0], ..SAME3 },
        // Sums continued from block to block of the channels that go in, with those that come out in the lanes and not.
        Case { channels: [5, 6], size: [120, 150], ..SAME3 },
        Case { channels: [5, 2], size: [120, 150], ..SAME3 },
    ]
}

#[test]
fn products_are_those_of_the_definition() {
    for case in cases() {
        let conv = case.conv();
        let x = numbers(conv.samples * conv.channels * conv.height * conv.width, 1);
        let weight = numbers(conv.out_channels * conv.depth(), 2);
        let dy = numbers(conv.samples * conv.out_channels * conv.out_height * conv.out_width, 3);
        let y = forward(&conv, &x, &weight);
        let dweight = grad_weight(&conv, &x, &dy);
        // The definition's search for the output position is quadratic.
        let dx = (conv.height * conv.width < 1000).then(|| grad_input(&conv, &weight, &dy));
        let bias = numbers(conv.out_channels, 4);
        let channel = |i: usize| i / (conv.out_height * conv.out_width) % conv.out_channels;
        let biased: Vec<f32> = y.iter().enumerate().map(|(i, y)| y + bias[channel(i)]).collect();
        let rectified: Vec<f32> = biased.iter().map(|y| if *y > 0.0 { *y } else { 0.0 }).collect();
        for level in Level::available() {
            let mut scratch = Scratch::at(level);
            let mut out = vec![f32::NAN; y.len()];
            let epilogues =
                [(Epilogue::Nothing, &y), (Epilogue::Bias(&bias), &biased), (Epilogue::BiasRelu(&bias), &rectified)];
            for (epilogue, expected) in epilogues {
                conv.forward_with(&mut scratch, &x, &weight, epilogue, &mut out);
                assert_eq!(bits(&out), bits(expected), "{conv:?} {level:?} {epilogue:?}");
            }
            let mut out = vec![f32::NAN; weight.len()];
            conv.grad_weight(&mut scratch, &x, &dy, &mut out);
            assert_eq!(bits(&out), bits(&dweight), "{conv:?} {level:?} dweight");
            if let Some(dx) = &dx {
                let mut out = vec![f32::NAN; x.len()];
                conv.grad_input(&mut scratch, &weight, &dy, &mut out);
                assert_eq!(bits(&out), bits(dx), "{conv:?} {level:?} dx");
            }
        }
    }
}
