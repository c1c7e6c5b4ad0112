//! Pooling. Greatest and sum are separable, so that any number of axes is pooled two at a time.

use shoal_graph::{Axis2d, Binary, Op, Reduction, Unary, Window2d};

use super::{
    call::{Call, dim, one},
    context::{Lowering, Made},
    geometry::{Geometry, numbers},
    table::Results,
    value::Value,
};
use crate::{error::NodeError, tensor::Tensor};

#[derive(Clone, Copy, PartialEq)]
enum Pool {
    Max,
    Sum,
}

fn geometry(call: &Call<'_>, x: &Value) -> Result<Geometry, NodeError> {
    let spatial = x.rank().saturating_sub(2);
    if !(1..=3).contains(&spatial) {
        return Err(call.shapes(0, [], "one to three spatial axes"));
    }
    Geometry::of(call, &x.shape[2..], &numbers(call, "kernel_shape", spatial, 0, 1)?)
}

pub(super) fn max_pool(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    if call.wants(1) {
        return Err(NodeError::Unsupported("indices of the greatest elements"));
    }
    let x = call.input(0)?;
    let float = low.float(x)?;
    let made = low.pool(Pool::Max, &float, &geometry(call, x)?)?;
    one(low.cast(&made, x.element))
}

pub(super) fn average_pool(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let geometry = geometry(call, x)?;
    let sums = low.pool(Pool::Sum, x, &geometry)?;
    let counts_padding = call.int("count_include_pad", 0) != 0;
    let mut counts = Value::scalar(x.element, 1.0);
    for (at, axis) in geometry.axes.iter().enumerate() {
        let (image, high) = (x.shape[at + 2], geometry.declared_high[at]);
        let windows = geometry.windows(at, image)?;
        let (low_end, end) = (u64::from(axis.low), u64::from(axis.low) + u64::from(image));
        let (first, end) = if counts_padding { (0, end + u64::from(high)) } else { (low_end, end) };
        // Taps of a window that lie before a place.
        let before = |window: u32, place: u64| {
            let distance = place.saturating_sub(u64::from(window) * u64::from(axis.stride));
            distance.div_ceil(axis.dilation.into()).min(geometry.kernel[at].into())
        };
        let count = |window: u32| (before(window, end) - before(window, first)) as f64;
        low.budget.spend(windows.into())?;
        let mut shape = vec![1; x.rank() - 2];
        shape[at] = windows;
        let along = Value::of(Tensor::floats(shape, (0..windows).map(count).collect()));
        counts = low.mul(&counts, &along)?;
    }
    let counts = match counts.uniform() {
        Some(count) => Value::scalar(x.element, count),
        None => counts,
    };
    one(low.div(&sums, &counts))
}

pub(super) fn lp_pool(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let p = call.int("p", 2) as f64;
    let powers = low.power_of_size(x, p)?;
    let sums = low.pool(Pool::Sum, &powers, &geometry(call, x)?)?;
    one(low.with(Binary::Pow, &sums, 1.0 / p))
}

pub(super) fn global_pool(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let over: Vec<usize> = (2..x.rank()).collect();
    one(match call.op() {
        "GlobalAveragePool" => low.mean(x, &over, true),
        "GlobalMaxPool" => low.reduce(Reduction::Max, x, &over, true),
        _ => {
            let p = call.int("p", 2) as f64;
            let powers = low.power_of_size(x, p)?;
            let sums = low.reduce(Reduction::Sum, &powers, &over, true)?;
            low.with(Binary::Pow, &sums, 1.0 / p)
        }
    })
}

impl Lowering<'_> {
    fn power_of_size(&mut self, x: &Value, p: f64) -> Made {
        if p == 2.0 {
            return self.mul(x, x);
        }
        let size = self.unary(Unary::Abs, x)?;
        if p == 1.0 { Ok(size) } else { self.with(Binary::Pow, &size, p) }
    }

    fn pool(&mut self, pool: Pool, x: &Value, geometry: &Geometry) -> Made {
        let plane = Window2d { ..geometry.window() };
        let kernel = |from_end: usize| geometry.kernel.iter().rev().nth(from_end).copied().unwrap_or(1);
        let planes = match *x.shape.as_slice() {
            [n, c, depth, h, w] => self.reshape(x, &[n, dim(&[c, depth])?, h, w])?,
            _ => self.as_image(x)?,
        };
        let pooled = self.pool_plane(pool, &planes, plane, [kernel(1), kernel(0)])?;
        let [_, _, oh, ow] = *pooled.shape.as_slice() else { return Err(NodeError::Unsupported("a pool")) };
        match *x.shape.as_slice() {
            [n, c, depth, ..] if x.rank() == 5 => {
                let columns = self.reshape(&pooled, &[n, c, depth, dim(&[oh, ow])?])?;
                let window = Window2d { height: geometry.axes[0], width: Axis2d::DENSE };
                let made = self.pool_plane(pool, &columns, window, [geometry.kernel[0], 1])?;
                let windows = made.shape[2];
                self.reshape(&made, &[n, c, windows, oh, ow])
            }
            [n, c, _] => self.reshape(&pooled, &[n, c, ow]),
            _ => Ok(pooled),
        }
    }

    fn pool_plane(&mut self, pool: Pool, x: &Value, window: Window2d, [kernel_height, kernel_width]: [u32; 2]) -> Made {
        let op = match pool {
            Pool::Max => Op::MaxPool2d { window, kernel_height, kernel_width },
            Pool::Sum => Op::SumPool2d { window, kernel_height, kernel_width },
        };
        self.emit(op, &[x], x.element)
    }

    /// Sums over windows of neighbours along the second axis, as many as there are.
    pub(super) fn sum_over_channels(&mut self, x: &Value, size: u32) -> Made {
        let [n, c, ..] = *x.shape.as_slice() else { return Err(NodeError::Unsupported("no channels")) };
        let low = (size.max(1) - 1) / 2;
        let axis = Axis2d { stride: 1, dilation: 1, low, high: size.max(1) - 1 - low };
        let columns = self.reshape(x, &[n, 1, c, dim(&x.shape[2..])?])?;
        let window = Window2d { height: axis, width: Axis2d::DENSE };
        let sums = self.pool_plane(Pool::Sum, &columns, window, [size, 1])?;
        self.reshape(&sums, &x.shape)
    }
}
