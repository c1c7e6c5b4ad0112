//! Several element-wise operations as one loop over blocks that stay in the first-level cache.

use std::rc::Rc;

use shoal_graph::{Binary, DType, Unary, ValueId};

use super::{Values, buffers::Buffers};
use crate::{
    kernels::{elementwise, strided::View},
    tensor::{Data, Element},
};

/// Elements of a block: registers of 2 KiB, of which a dozen fit in the smallest first-level cache.
const BLOCK: usize = 512;

/// A loop over all elements of one shape.
#[derive(Debug)]
pub(super) struct Fused {
    pub(super) len: usize,
    pub(super) operands: Vec<Operand>,
    /// Run once.
    pub(super) before: Vec<Instruction>,
    /// Run for each block.
    pub(super) code: Vec<Instruction>,
    /// What is made for others.
    pub(super) results: Vec<(ValueId, DType)>,
    pub(super) registers: Vec<DType>,
}

/// A value from outside, as the loop reads it.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) value: ValueId,
    pub(super) view: View,
}

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Register(usize),
    /// In an operand whose elements lie as the loop goes.
    Operand(usize),
    /// In a result.
    Result(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// Reads an operand that lies otherwise.
    Load,
    Copy,
    Unary(Unary),
    Binary(Binary),
    Select,
    /// Between floats and integers.
    Cast,
}

#[derive(Debug)]
pub(super) struct Instruction {
    pub(super) action: Action,
    pub(super) sources: [Place; 3],
    /// Type of the last operand.
    pub(super) from_dtype: DType,
    pub(super) to: Place,
    pub(super) to_dtype: DType,
}

impl Fused {
    /// What it reads and what it makes.
    pub(super) fn values(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.operands.iter().map(|operand| operand.value).chain(self.results.iter().map(|(value, _)| *value))
    }

    pub(super) fn run(&self, values: &mut Values, buffers: &mut Buffers) {
        let operands = self
            .operands
            .iter()
            .map(|operand| values[operand.value.index()].clone().expect("a value lives until its last use"));
        let mut blocks = Blocks {
            views: &self.operands,
            operands: operands.collect(),
            registers: self.registers.iter().map(|dtype| buffers.of(*dtype, BLOCK)).collect(),
            results: self.results.iter().map(|(_, dtype)| buffers.of(*dtype, self.len)).collect(),
            start: 0,
            len: BLOCK,
        };
        for instruction in &self.before {
            blocks.run(instruction);
        }
        for start in (0..self.len).step_by(BLOCK) {
            (blocks.start, blocks.len) = (start, BLOCK.min(self.len - start));
            for instruction in &self.code {
                blocks.run(instruction);
            }
        }
        for ((value, _), result) in self.results.iter().zip(blocks.results) {
            values[value.index()] = Some(Rc::new(result));
        }
        blocks.registers.into_iter().for_each(|register| buffers.put(register));
    }
}

/// Everything that instructions read and write, at one block.
struct Blocks<'a> {
    views: &'a [Operand],
    operands: Vec<Rc<Data>>,
    registers: Vec<Data>,
    results: Vec<Data>,
    start: usize,
    len: usize,
}

impl Blocks<'_> {
    fn run(&mut self, instruction: &Instruction) {
        // The target is taken out, so that the others can be read meanwhile; it is never among them.
        let (start, len) = (self.start, self.len);
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
            Data::I8(_) | Data::U8(_) => unreachable!("bytes are not fused"),
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
            Action::Cast => elementwise::to_f32(self.get(a), y),
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
            Action::Cast => elementwise::to_i32(self.get(a), y),
        }
    }

    fn load<T: Element>(&self, from: Place, y: &mut [T]) {
        let Place::Operand(operand) = from else { unreachable!("operands are loaded") };
        let x = T::elements(&self.operands[operand]).expect("an operand has its type");
        self.views[operand].view.read(x, self.start, y);
    }

    fn get<T: Element>(&self, from: Place) -> &[T] {
        let (data, range) = match from {
            Place::Register(register) => (&self.registers[register], 0..self.len),
            Place::Operand(operand) => (&*self.operands[operand], self.start..self.start + self.len),
            Place::Result(result) => (&self.results[result], self.start..self.start + self.len),
        };
        &T::elements(data).expect("an instruction reads what has its type")[range]
    }
}
