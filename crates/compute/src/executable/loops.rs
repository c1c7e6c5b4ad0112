//! Several element-wise operations as one loop over blocks that stay in the first-level cache.

use std::{ops::Range, rc::Rc};

use shoal_graph::{Binary, DType, Unary, ValueId};

use super::{Values, buffers::Buffers};
use crate::{
    kernels::{
        elementwise::{self, Number},
        lanes::Level,
        requantize::{Narrow, Scaling},
        strided::View,
    },
    tensor::{Data, Element},
};

/// Elements of a block: registers of 2 KiB, of which a dozen fit in the smallest first-level cache.
pub(super) const BLOCK: usize = 512;

/// A loop over all elements of one shape.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Indices of the nodes, ascending.
    pub(super) nodes: Vec<usize>,
    pub(crate) len: usize,
    pub(crate) operands: Vec<Operand>,
    /// Run once.
    pub(crate) before: Vec<Instruction>,
    /// Run for each block.
    pub(crate) code: Vec<Instruction>,
    /// What is made for others.
    pub(crate) results: Vec<(ValueId, DType)>,
    pub(crate) registers: Vec<DType>,
}

/// A value from outside, as the loop reads it.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) value: ValueId,
    pub(crate) view: View,
}

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Register(usize),
    /// In an operand whose elements lie as the loop goes.
    Operand(usize),
    /// In a result.
    Result(usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Reads an operand that lies otherwise.
    Load,
    Copy,
    Unary(Unary),
    Binary(Binary),
    Select,
    /// Between types.
    Cast,
    Requantize(Scaling),
}

#[derive(Debug)]
pub(crate) struct Instruction {
    pub(crate) action: Action,
    pub(crate) sources: [Place; 3],
    /// Type of the last operand.
    pub(crate) from_dtype: DType,
    pub(crate) to: Place,
    pub(crate) to_dtype: DType,
}

impl Loop {
    /// What it reads and what it makes.
    pub(crate) fn values(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.operands.iter().map(|operand| operand.value).chain(self.results.iter().map(|(value, _)| *value))
    }

    pub(super) fn run(&self, values: &mut Values, buffers: &mut Buffers) {
        let operands = self
            .operands
            .iter()
            .map(|operand| values[operand.value.index()].clone().expect("a value lives until its last use"));
        let results = self.blocks(operands.collect(), vec![0; self.operands.len()], 0..self.len, buffers);
        for ((value, _), result) in self.results.iter().zip(results) {
            values[value.index()] = Some(Rc::new(result));
        }
    }

    /// Some elements of the only result, when `part` holds these elements of one value.
    pub(super) fn run_part(
        &self,
        values: &Values,
        part_of: ValueId,
        part: &Rc<Data>,
        range: Range<usize>,
        buffers: &mut Buffers,
    ) -> Data {
        let is_part = |operand: &Operand| operand.value == part_of;
        let operands = self.operands.iter().map(|operand| match is_part(operand) {
            true => part.clone(),
            false => values[operand.value.index()].clone().expect("a value lives until its last use"),
        });
        let origins = self.operands.iter().map(|operand| if is_part(operand) { range.start } else { 0 });
        let results = self.blocks(operands.collect(), origins.collect(), range, buffers);
        results.into_iter().next().expect("a part is taken of one result")
    }

    /// What it makes.
    pub(super) fn made(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.results.iter().map(|(value, _)| *value)
    }

    /// Whether that node is part of it.
    pub(super) fn contains(&self, node: usize) -> bool {
        self.nodes.binary_search(&node).is_ok()
    }

    /// Whether it makes one value, and reads that one as the loop goes and in no other way.
    pub(super) fn is_chain(&self, from: ValueId) -> bool {
        let mut reads = self.operands.iter().filter(|operand| operand.value == from);
        self.results.len() == 1 && reads.next().is_some_and(|operand| operand.view.is_flat()) && reads.next().is_none()
    }

    /// Elements `range` of all results. Operand i starts at element `origins[i]`.
    fn blocks(
        &self,
        operands: Vec<Rc<Data>>,
        origins: Vec<usize>,
        range: Range<usize>,
        buffers: &mut Buffers,
    ) -> Vec<Data> {
        let mut blocks = Blocks {
            views: &self.operands,
            operands,
            origins,
            registers: self.registers.iter().map(|dtype| buffers.of(*dtype, BLOCK)).collect(),
            results: self.results.iter().map(|(_, dtype)| buffers.of(*dtype, range.len())).collect(),
            origin: range.start,
            level: buffers.scratch.level,
            start: 0,
            len: BLOCK,
        };
        for instruction in &self.before {
            blocks.run(instruction);
        }
        for start in range.clone().step_by(BLOCK) {
            (blocks.start, blocks.len) = (start, BLOCK.min(range.end - start));
            for instruction in &self.code {
                blocks.run(instruction);
            }
        }
        blocks.registers.into_iter().for_each(|register| buffers.put(register));
        blocks.results
    }
}

/// Everything that instructions read and write, at one block.
struct Blocks<'a> {
    views: &'a [Operand],
    operands: Vec<Rc<Data>>,
    /// Which element of the loop is each operand's first.
    origins: Vec<usize>,
    registers: Vec<Data>,
    results: Vec<Data>,
    /// Which element of the loop is the results' first.
    origin: usize,
    level: Level,
    start: usize,
    len: usize,
}

impl Blocks<'_> {
    fn run(&mut self, instruction: &Instruction) {
        // The target is taken out, so that the others can be read meanwhile; it is never among them.
        let (start, len) = (self.start.saturating_sub(self.origin), self.len);
        let slot = match instruction.to {
            Place::Register(register) => &mut self.registers[register],
            Place::Result(result) => &mut self.results[result],
            Place::Operand(_) => unreachable!("operands are only read"),
        };
        let mut taken = std::mem::replace(slot, Data::F32(Vec::new()));
        let range = if matches!(instruction.to, Place::Result(_)) { start..start + len } else { 0..len };
        match &mut taken {
            Data::F32(y) => self.floats(instruction, &mut y[range]),
            Data::I32(y) => self.integers(instruction, &mut y[range]),
            Data::I8(y) => self.bytes(instruction, &mut y[range]),
            Data::U8(y) => self.bytes(instruction, &mut y[range]),
        }
        match instruction.to {
            Place::Register(register) => self.registers[register] = taken,
            Place::Result(result) => self.results[result] = taken,
            Place::Operand(_) => {}
        }
    }

    fn floats(&self, instruction: &Instruction, y: &mut [f32]) {
        let [a, b, c] = instruction.sources;
        match instruction.action {
            Action::Load => self.load(a, y),
            Action::Copy => y.copy_from_slice(self.get(a)),
            Action::Unary(unary) => elementwise::unary_f32(unary, self.get(a), y),
            Action::Binary(binary) => elementwise::binary_f32(binary, self.get(a), self.get(b), y),
            Action::Select => elementwise::select(self.get(a), self.get(b), self.get(c), y),
            Action::Cast => self.cast(instruction, y),
            Action::Requantize(_) => unreachable!("it makes integers"),
        }
    }

    fn integers(&self, instruction: &Instruction, y: &mut [i32]) {
        let [a, b, c] = instruction.sources;
        match instruction.action {
            Action::Load => self.load(a, y),
            Action::Copy => y.copy_from_slice(self.get(a)),
            Action::Unary(unary) => elementwise::unary_i32(unary, self.get(a), y),
            Action::Binary(binary) if instruction.from_dtype == DType::F32 => {
                elementwise::compare::<f32>(binary, self.get(a), self.get(b), y);
            }
            Action::Binary(binary) => elementwise::binary_i32(binary, self.get(a), self.get(b), y),
            Action::Select => elementwise::select(self.get(a), self.get(b), self.get(c), y),
            Action::Cast => self.cast(instruction, y),
            Action::Requantize(scaling) => scaling.run(self.level, self.get(a), self.get(b), y),
        }
    }

    fn bytes<T: Element + Number + Narrow>(&self, instruction: &Instruction, y: &mut [T]) {
        let [a, b, _] = instruction.sources;
        match instruction.action {
            Action::Load => self.load(a, y),
            Action::Copy => y.copy_from_slice(self.get(a)),
            Action::Cast => self.cast(instruction, y),
            Action::Requantize(scaling) => scaling.run(self.level, self.get(a), self.get(b), y),
            Action::Unary(_) | Action::Binary(_) | Action::Select => unreachable!("bytes are only moved and cast"),
        }
    }

    fn cast<T: Number>(&self, instruction: &Instruction, y: &mut [T]) {
        let [x, ..] = instruction.sources;
        match instruction.from_dtype {
            DType::F32 => elementwise::cast(self.get::<f32>(x), y, T::of_f32),
            DType::I32 => elementwise::cast(self.get(x), y, T::of_i32),
            DType::I8 => elementwise::cast(self.get::<i8>(x), y, |x| T::of_i32(x.into())),
            DType::U8 => elementwise::cast(self.get::<u8>(x), y, |x| T::of_i32(x.into())),
        }
    }

    fn load<T: Element>(&self, from: Place, y: &mut [T]) {
        let Place::Operand(operand) = from else { unreachable!("operands are loaded") };
        let x = T::elements(&self.operands[operand]).expect("an operand has its type");
        self.views[operand].view.read(x, self.start, y);
    }

    fn get<T: Element>(&self, from: Place) -> &[T] {
        let (data, first) = match from {
            Place::Register(register) => (&self.registers[register], 0),
            Place::Operand(operand) => (&*self.operands[operand], self.start - self.origins[operand]),
            Place::Result(result) => (&self.results[result], self.start - self.origin),
        };
        &T::elements(data).expect("an instruction reads what has its type")[first..][..self.len]
    }
}
