//! Operations on single elements.

use shoal_graph::{Binary, DType, Node, Unary, ValueId};

use super::{
    Refusal, Rewriter, WIDE,
    forms::{HALF_WIDE, reals},
    functions::{binary_of, unary_of},
    rows::MOST,
};
use crate::{
    calibrate::MASK_FROM,
    form::{Form, Scaled, Scales, varies_along},
};

/// What a mask's minus infinity becomes beside sums of 15 bits: far below them, and far within 31 bits.
const MASKED: i32 = 1 << 20;
/// Most of a bias beside a sum of products, so that both have 31 bits together.
const MOST_BIAS: f64 = (1 << 29) as f64;
/// What the greatest magnitude seen becomes in one operand of a sum.
const TERM: f64 = 8192.0;
const MOST_TERM: i32 = 16_383;

impl Rewriter<'_> {
    pub(super) fn unary(&mut self, unary: Unary, node: &Node) -> Result<Form, Refusal> {
        let source = node.inputs[0];
        match (unary, self.form(source)?) {
            (Unary::Relu, Form::Scaled(x)) => Ok(Form::Scaled(Scaled { is_relu: true, ..x })),
            (Unary::Neg, Form::Scaled(x)) if !x.is_relu => {
                Ok(Form::Scaled(Scaled { scales: x.scales.map(|scale| -scale), ..x }))
            }
            _ => {
                let table = self.table_of(source)?;
                let values = unary_of(unary, &table.values);
                Ok(table.mapped(values))
            }
        }
    }

    /// An integer of the old graph as a number, within what samples show.
    pub(super) fn cast(&mut self, node: &Node) -> Result<Form, Refusal> {
        let Form::Whole(x) = self.form(node.inputs[0])? else { return self.form(node.inputs[0]) };
        let most = self.facts.range(node.output).greatest.ceil();
        if most > f64::from(1 << 24) {
            return Err(Refusal::Unsupported("its integers have more than 24 bits"));
        }
        let x = Scaled { value: x, scales: Scales::one(1.0), bound: most, is_relu: false };
        Ok(Form::Scaled(self.requantized(&x, 1.0, [-(most as i32), most as i32], DType::I32)?))
    }

    pub(super) fn binary(&mut self, binary: Binary, node: &Node) -> Result<Form, Refusal> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        if let (Form::Scaled(_) | Form::Table(_) | Form::Softmax { .. }, Form::Known(known)) =
            (self.form(a)?, self.form(b)?)
        {
            return self.with_known(binary, node, a, b, &reals(&known)?);
        }
        if let (Form::Known(known), _) = (self.form(a)?, self.form(b)?) {
            return self.of_known(binary, node, a, b, &reals(&known)?);
        }
        if let Some((table, other)) = self.tables_of(a, b)? {
            let values = binary_of(binary, &table.values, &other);
            return Ok(table.mapped(values));
        }
        match binary {
            Binary::Add => self.sum(node, [a, b], [1.0, 1.0]),
            Binary::Sub => self.sum(node, [a, b], [1.0, -1.0]),
            Binary::Mul => self.times(a, b),
            Binary::Div => self.ratio(a, b),
            Binary::Max | Binary::Min => self.greater(binary, node),
            _ => Err(Refusal::Unsupported("it has two operands that depend on inputs")),
        }
    }

    /// x with numbers that are always the same.
    fn with_known(
        &mut self,
        binary: Binary,
        node: &Node,
        x: ValueId,
        known: ValueId,
        numbers: &[f64],
    ) -> Result<Form, Refusal> {
        let along = self.scales_of(node, known, numbers);
        let is_scalar = numbers.len() == 1 && self.shape(x) == self.shape(node.output);
        if let (Form::Table(table), true) = (self.form(x)?, is_scalar) {
            let values = binary_of(binary, &table.values, &vec![numbers[0]; table.values.len()]);
            return Ok(table.mapped(values));
        }
        match binary {
            Binary::Add => self.plus(node, [x, known], [1.0, 1.0], along),
            Binary::Sub => self.plus(node, [x, known], [1.0, -1.0], along),
            Binary::Mul => self.by(node, x, known, along),
            Binary::Div if numbers.contains(&0.0) => Err(Refusal::Unsupported("it divides by zero")),
            Binary::Div if along.is_none() => Err(Refusal::Unsupported("its divisors differ along several axes")),
            Binary::Div => self.by(node, x, known, along.map(|along| along.map(|number| 1.0 / number))),
            Binary::Max | Binary::Min if is_scalar => {
                let x = match self.form(x)? {
                    Form::Scaled(own) if !own.is_relu && own.scales.single().is_some_and(|s| s > 0.0) => {
                        self.widened(&own)?
                    }
                    _ => self.wide(x)?,
                };
                let number = (numbers[0] / x.scales.values[0]).round().clamp(-MOST, MOST);
                let bound = self.number(number as i32)?;
                let value = self.b.binary(binary, x.value, bound)?;
                Ok(Form::Scaled(Scaled { value, bound: x.bound.max(number.abs()), ..x }))
            }
            _ if is_scalar => {
                let table = self.table_of(x)?;
                let values = binary_of(binary, &table.values, &vec![numbers[0]; table.values.len()]);
                Ok(table.mapped(values))
            }
            _ => Err(Refusal::Unsupported("its second operand is no single number")),
        }
    }

    /// Numbers that are always the same, with x.
    fn of_known(
        &mut self,
        binary: Binary,
        node: &Node,
        known: ValueId,
        x: ValueId,
        numbers: &[f64],
    ) -> Result<Form, Refusal> {
        match binary {
            Binary::Add | Binary::Mul | Binary::Max | Binary::Min => self.with_known(binary, node, x, known, numbers),
            Binary::Sub => {
                if let (Form::Table(table), 1) = (self.form(x)?, numbers.len()) {
                    let values = table.values.iter().map(|value| numbers[0] - value).collect();
                    return Ok(table.mapped(values));
                }
                let along = self.scales_of(node, known, numbers);
                self.plus(node, [x, known], [-1.0, 1.0], along)
            }
            _ if numbers.len() == 1 => {
                let table = self.table_of(x)?;
                let values = binary_of(binary, &vec![numbers[0]; table.values.len()], &table.values);
                Ok(table.mapped(values))
            }
            _ => Err(Refusal::Unsupported("its first operand is no single number")),
        }
    }

    /// Known numbers along one axis of the result.
    fn scales_of(&self, node: &Node, known: ValueId, numbers: &[f64]) -> Option<Scales> {
        let axis = varies_along(self.shape(known), self.shape(node.output))?;
        Some(Scales { axis, values: numbers.into() })
    }

    /// x and known numbers with their signs: a bias in the units of x, where all of them fit beside it.
    fn plus(
        &mut self,
        node: &Node,
        operands: [ValueId; 2],
        signs: [f64; 2],
        along: Option<Scales>,
    ) -> Result<Form, Refusal> {
        let [x, known] = operands;
        let Some(numbers) = along.filter(|_| self.shape(x) == self.shape(node.output)) else {
            return self.sum(node, operands, signs);
        };
        for x in [self.plain(x)?, self.wide(x)?] {
            let x = Scaled { scales: x.scales.map(|scale| scale * signs[0]), ..x };
            let steps = |scale: f64, number: f64| (number * signs[1] / scale).round();
            let Some(bias) = x.scales.with(&numbers, steps) else { continue };
            let most = bias.values.iter().fold(0.0f64, |most, own| most.max(own.abs()));
            // A NaN is no bias either.
            if !(most <= MOST_BIAS && x.bound + most <= MOST) {
                continue;
            }
            let Some(scales) = x.scales.with(&numbers, |scale, _| scale) else { continue };
            let rank = self.shape(node.output).len();
            let shape: Vec<u32> = numbers.axis.map_or(Vec::new(), |axis| {
                let mut shape = vec![1; rank - axis];
                shape[0] = bias.values.len() as u32;
                shape
            });
            // One scale and many numbers, or the other way round: the bias is along the axis that either has.
            let shape = match (x.scales.axis, numbers.axis) {
                (Some(axis), None) => {
                    let mut shape = vec![1; rank - axis];
                    shape[0] = bias.values.len() as u32;
                    shape
                }
                _ => shape,
            };
            let name = format!("{}.bias", self.name_of(known));
            let bias = self.integers(&name, &shape, bias.values.iter().map(|own| *own as i32).collect())?;
            let value = self.b.add(x.value, bias)?;
            let scales = if x.scales.axis.is_none() { x.scales } else { scales };
            return Ok(Form::Scaled(Scaled { value, scales, bound: x.bound + most, is_relu: false }));
        }
        self.sum(node, operands, signs)
    }

    /// Other scales for the same integers.
    fn by(&mut self, node: &Node, x: ValueId, known: ValueId, along: Option<Scales>) -> Result<Form, Refusal> {
        let Some(numbers) = along.filter(|_| self.shape(x) == self.shape(node.output)) else {
            return self.times(x, known);
        };
        for own in [self.plain(x)?, self.wide(x)?] {
            if let Some(scales) = own.scales.with(&numbers, |scale, number| scale * number) {
                return Ok(Form::Scaled(Scaled { scales, ..own }));
            }
        }
        self.times(x, known)
    }

    /// a·sign + b·sign under one scale. An operand of minus infinities is a mask: it has no say in the scale.
    fn sum(&mut self, node: &Node, operands: [ValueId; 2], signs: [f64; 2]) -> Result<Form, Refusal> {
        let mut terms = Vec::new();
        for value in operands {
            let x = self.plain(value)?;
            let range = if self.facts.is_known[value.index()] {
                x.bound * x.scales.values[0]
            } else {
                self.facts.range(value).greatest
            };
            terms.push((x, range));
        }
        let [a, b] = [terms[0].1, terms[1].1];
        let is_mask = |own: f64, other: f64| own >= MASK_FROM && own > 100.0 * other;
        let masks = [is_mask(a, b), is_mask(b, a)];
        let mut greatest = 0.0f64;
        for (range, is_mask) in [a, b].into_iter().zip(masks) {
            greatest = greatest.max(if is_mask { 0.0 } else { range });
        }
        if masks == [false, false] {
            greatest = greatest.max(self.facts.range(node.output).greatest);
        }
        let scale = greatest / TERM;
        let mut values = Vec::new();
        let mut bound = 0.0;
        for (((x, _), sign), is_mask) in terms.into_iter().zip(signs).zip(masks) {
            let most = if is_mask { MASKED } else { MOST_TERM };
            let x = Scaled { scales: x.scales.map(|own| own * sign), ..x };
            values.push(self.requantized(&x, scale, [-most, most], DType::I32)?.value);
            bound += f64::from(most);
        }
        let value = self.b.add(values[0], values[1])?;
        Ok(Form::Scaled(Scaled { value, scales: Scales::one(scale), bound, is_relu: false }))
    }

    /// A product of 15 bits each.
    fn times(&mut self, a: ValueId, b: ValueId) -> Result<Form, Refusal> {
        let mut factors = Vec::new();
        for value in [a, b] {
            let x = self.plain(value)?;
            let is_fit = x.bound <= f64::from(WIDE) && x.scales.single().is_some();
            factors.push(if is_fit { x } else { self.wide(value)? });
        }
        let value = self.b.mul(factors[0].value, factors[1].value)?;
        let scales = Scales::one(factors[0].scales.values[0] * factors[1].scales.values[0]);
        Ok(Form::Scaled(Scaled { value, scales, bound: factors[0].bound * factors[1].bound, is_relu: false }))
    }

    /// a/b, a with as many bits more as fit.
    fn ratio(&mut self, a: ValueId, b: ValueId) -> Result<Form, Refusal> {
        let mut a = match self.plain(a)? {
            x if x.scales.single().is_some() => x,
            _ => self.wide(a)?,
        };
        let b = match self.plain(b)? {
            x if x.scales.single().is_some() => x,
            _ => self.wide(b)?,
        };
        let bits = (MOST / a.bound).log2().floor().clamp(0.0, 30.0);
        if bits > 0.0 {
            let factor = self.number(bits.exp2() as i32)?;
            let value = self.b.mul(a.value, factor)?;
            a = Scaled { value, scales: a.scales.map(|scale| scale / bits.exp2()), bound: a.bound * bits.exp2(), ..a };
        }
        let value = self.b.div(a.value, b.value)?;
        let scales = a.scales.map(|scale| scale / b.scales.values[0]);
        Ok(Form::Scaled(Scaled { value, scales, ..a }))
    }

    /// The greater or the less of two under one scale.
    fn greater(&mut self, binary: Binary, node: &Node) -> Result<Form, Refusal> {
        let (a, b) = (self.plain(node.inputs[0])?, self.plain(node.inputs[1])?);
        let greatest = |value: ValueId| self.facts.range(value).greatest;
        let scale = greatest(node.inputs[0]).max(greatest(node.inputs[1])) / HALF_WIDE;
        let a = self.requantized(&a, scale, [-WIDE, WIDE], DType::I32)?;
        let b = self.requantized(&b, scale, [-WIDE, WIDE], DType::I32)?;
        let value = self.b.binary(binary, a.value, b.value)?;
        Ok(Form::Scaled(Scaled { value, ..a }))
    }

    /// Of two under one scale. Minus infinities are a mask, as in a sum.
    pub(super) fn choose(&mut self, node: &Node) -> Result<Form, Refusal> {
        let condition = self.whole_operand(node.inputs[0])?;
        let (a, b) = (node.inputs[1], node.inputs[2]);
        let mut ranges = [0.0; 2];
        for (range, value) in ranges.iter_mut().zip([a, b]) {
            *range = match self.form(value)? {
                Form::Known(known) => reals(&known)?.iter().fold(0.0f64, |most, x| most.max(x.abs())),
                _ => self.facts.range(value).greatest,
            };
        }
        let [own, other] = ranges;
        let greatest = match (own >= MASK_FROM, other >= MASK_FROM) {
            (true, false) if other > 0.0 => other,
            (false, true) if own > 0.0 => own,
            _ => own.max(other).max(f64::MIN_POSITIVE),
        };
        let scale = greatest / HALF_WIDE;
        let mut values = Vec::new();
        let mut bound = 0.0f64;
        for (value, range) in [a, b].into_iter().zip(ranges) {
            let x = self.plain(value)?;
            let most = if range > greatest { MASKED } else { WIDE };
            values.push(self.requantized(&x, scale, [-most, most], DType::I32)?.value);
            bound = bound.max(f64::from(most));
        }
        let value = self.b.select(condition, values[0], values[1])?;
        Ok(Form::Scaled(Scaled { value, scales: Scales::one(scale), bound, is_relu: false }))
    }
}
