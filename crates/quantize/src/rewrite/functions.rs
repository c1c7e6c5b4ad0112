//! Functions of one value, as tables. They are evaluated by the exact kernels, which every machine shares, so that the same
//! model and samples make the same table everywhere.

use std::rc::Rc;

use shoal_compute::{CpuBackend, Data, Tensor, Tensors};
use shoal_graph::{Binary, DType, GraphBuilder, Op, TensorType, Unary, ValueId};

use super::{Refusal, Rewriter, forms::PLACES};
use crate::form::{Form, Scaled, Table};

const _: () = assert!(PLACES % 2 == 0, "as many places below zero as from it on");

/// A value's table, and another's values at the same places.
type Pair = (Table, Rc<[f64]>);

impl Rewriter<'_> {
    /// The value itself, tabulated over the range that samples show.
    pub(super) fn table_of(&mut self, value: ValueId) -> Result<Table, Refusal> {
        let x = match self.form(value)? {
            Form::Table(table) => return Ok(table),
            Form::Scaled(x) if x.is_relu => self.wide(value)?,
            Form::Scaled(x) => x,
            _ => self.wide(value)?,
        };
        let half = PLACES / 2;
        let step = self.facts.range(value).greatest / f64::from(half - 1);
        let places = self.requantized(&x, step, [-half, half - 1], DType::I32)?;
        let first = self.number(half)?;
        let places = self.b.add(places.value, first)?;
        let grid: Rc<[f64]> = (-half..half).map(|place| f64::from(place) * step).collect();
        Ok(Table { places, root: Some((x.value, x.scales)), values: grid.clone(), grid })
    }

    /// Tables of two values with the same places; `None` where they are not functions of one value.
    pub(super) fn tables_of(&mut self, a: ValueId, b: ValueId) -> Result<Option<Pair>, Refusal> {
        if self.shape(a) != self.shape(b) {
            return Ok(None);
        }
        let under = |table: &Table, other: &Form| match other {
            Form::Table(other) if other.places == table.places => Some(other.values.clone()),
            Form::Scaled(x) => table.of_root(x),
            _ => None,
        };
        let (left, right) = (self.form(a)?, self.form(b)?);
        if let Form::Table(table) = &left
            && let Some(values) = under(table, &right)
        {
            return Ok(Some((table.clone(), values)));
        }
        if let Form::Table(table) = &right
            && let Some(values) = under(table, &left)
        {
            return Ok(Some((Table { values, ..table.clone() }, table.values.clone())));
        }
        if let (Form::Scaled(x), Form::Scaled(y)) = (&left, &right)
            && a == b
            && same(x, y)
        {
            let table = self.table_of(a)?;
            let values = table.values.clone();
            return Ok(Some((table, values)));
        }
        Ok(None)
    }
}

fn same(x: &Scaled, y: &Scaled) -> bool {
    x.value == y.value && x.scales == y.scales
}

impl Table {
    pub(super) fn mapped(self, values: Vec<f64>) -> Form {
        Form::Table(Table { values: finite(values).into(), ..self })
    }
}

/// Values without infinities, which no integer stands for: they become the greatest finite magnitude beside them.
fn finite(values: Vec<f64>) -> Vec<f64> {
    let most = values.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
    values.into_iter().map(|x| if x.is_nan() { 0.0 } else { x.clamp(-most, most) }).collect()
}

/// A function of each number.
pub(super) fn unary_of(unary: Unary, x: &[f64]) -> Vec<f64> {
    evaluated(Op::Unary(unary), &[x])
}

/// A function of each pair of numbers.
pub(super) fn binary_of(binary: Binary, a: &[f64], b: &[f64]) -> Vec<f64> {
    evaluated(Op::Binary(binary), &[a, b])
}

fn evaluated(op: Op, operands: &[&[f64]]) -> Vec<f64> {
    let mut b = GraphBuilder::new();
    let (mut inputs, mut values) = (Tensors::new(), Vec::new());
    for (index, operand) in operands.iter().enumerate() {
        let shape = [operand.len() as u32];
        let name = format!("x{index}");
        values.push(b.input(&name, TensorType::f32(shape)).expect("a table is within the limits"));
        inputs.insert(name, Tensor::f32(shape, operand.iter().map(|x| *x as f32).collect()));
    }
    let made = b.apply(op, &values).expect("functions take floats");
    b.output("y", made);
    let graph = b.finish().expect("one node is within the limits");
    let made = CpuBackend::new().run_now(&graph, inputs).expect("a function runs");
    let made = made.into_iter().next().map(|(_, tensor)| tensor.into_data());
    match made {
        Some(Data::F32(y)) => y.into_iter().map(f64::from).collect(),
        Some(Data::I32(y)) => y.into_iter().map(f64::from).collect(),
        _ => unreachable!("a function makes numbers"),
    }
}
