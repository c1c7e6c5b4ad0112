//! Element by element operations, biases and the optimiser.

/// x if x > 0, else +0 (so −0 and NaN become +0).
pub(crate) fn relu(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| if *x > 0.0 { *x } else { 0.0 }).collect()
}

/// dy where x > 0, else +0.
pub(crate) fn relu_grad(x: &[f32], dy: &[f32]) -> Vec<f32> {
    x.iter().zip(dy).map(|(x, dy)| if *x > 0.0 { *dy } else { 0.0 }).collect()
}

/// a + b.
pub(crate) fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// x·factor.
pub(crate) fn scale(x: &[f32], factor: f32) -> Vec<f32> {
    x.iter().map(|x| x * factor).collect()
}

/// x \[n, c, inner\] + bias \[c\].
pub(crate) fn add_bias(x: &[f32], bias: &[f32], inner: usize) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for sample in x.chunks(bias.len() * inner) {
        for (channel, bias) in sample.chunks(inner).zip(bias) {
            y.extend(channel.iter().map(|x| x + bias));
        }
    }
    y
}

/// \[c\] from x \[n, c, inner\]: each channel summed over (sample, position) ascending, from +0.
pub(crate) fn sum_channels(x: &[f32], channels: usize, inner: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    for sample in x.chunks(channels * inner) {
        for (sum, channel) in sums.iter_mut().zip(sample.chunks(inner)) {
            for x in channel {
                *sum += x;
            }
        }
    }
    sums
}

/// New parameters and velocities: v' = momentum·v + g, p' = p − learning_rate·v'.
pub(crate) fn sgd_momentum(p: &[f32], v: &[f32], g: &[f32], learning_rate: f32, momentum: f32) -> (Vec<f32>, Vec<f32>) {
    let v: Vec<f32> = v.iter().zip(g).map(|(v, g)| momentum * v + g).collect();
    let p = p.iter().zip(&v).map(|(p, v)| p - learning_rate * v).collect();
    (p, v)
}
