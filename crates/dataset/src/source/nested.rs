//! Lists of lists of numbers, of JSON and of Parquet, as arrays.

use crate::limits::{MAX_DIMENSIONS, MAX_ROW_ELEMENTS};
use crate::{Array, Elements, Value};

/// A list or a number.
pub(super) trait Node: Sized {
    /// Elements of a list.
    fn children(&self) -> Option<&[Self]>;
    /// A number.
    fn scalar(&self) -> Option<Scalar>;
}

#[derive(Clone, Copy)]
pub(super) enum Scalar {
    Integer(i64),
    Float(f64),
}

/// The numbers of `list`: integers if all are and fit 32 bits, else floats.
pub(super) fn numbers<N: Node>(list: &N) -> Value {
    let mut shape = Vec::new();
    let mut first = Some(list);
    while let Some(children) = first.and_then(Node::children) {
        if shape.len() == MAX_DIMENSIONS {
            return Value::Unusable("lists nested too deeply");
        }
        shape.push(children.len());
        first = children.first();
    }
    let mut scalars = Vec::new();
    if let Err(what) = collect(list, &shape, &mut scalars) {
        return Value::Unusable(what);
    }
    let integers = scalars.iter().map(|scalar| match scalar {
        Scalar::Integer(integer) => i32::try_from(*integer).ok(),
        Scalar::Float(_) => None,
    });
    let data = match integers.collect() {
        Some(integers) => Elements::I32(integers),
        None => match scalars.iter().map(|scalar| scalar.as_f32()).collect() {
            Some(floats) => Elements::F32(floats),
            None => return Value::Unusable("numbers beyond 32-bit floats"),
        },
    };
    let shape = shape.into_iter().map(|extent| extent as u32).collect();
    Array::new(shape, data).map_or(Value::Unusable("a ragged list"), Value::Numbers)
}

impl Scalar {
    /// None for a finite number that would become infinite.
    fn as_f32(self) -> Option<f32> {
        let (float, finite) = match self {
            Self::Integer(integer) => (integer as f32, true),
            Self::Float(float) => (float as f32, float.is_finite()),
        };
        (!finite || float.is_finite()).then_some(float)
    }
}

fn collect<N: Node>(node: &N, shape: &[usize], scalars: &mut Vec<Scalar>) -> Result<(), &'static str> {
    let Some((&extent, inner)) = shape.split_first() else {
        let scalar = node.scalar().ok_or("a list of something other than numbers")?;
        if scalars.len() == MAX_ROW_ELEMENTS {
            return Err("too many numbers");
        }
        scalars.push(scalar);
        return Ok(());
    };
    let children = node.children().filter(|children| children.len() == extent).ok_or("a ragged list")?;
    children.iter().try_for_each(|child| collect(child, inner, scalars))
}
