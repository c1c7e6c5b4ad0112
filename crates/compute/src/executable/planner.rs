//! Makes a loop of element-wise nodes: instructions on numbered blocks first, then few registers for many blocks.

use std::collections::HashMap;

use shoal_graph::{DType, Graph, Op, ValueId};

use super::{
    looks::look,
    loops::{Action, Instruction, Loop, Operand, Place},
};
use crate::kernels::{requantize::Scaling, strided::View};

/// The loop of the given nodes, all of one shape and in order, that makes the given values.
pub(super) fn plan(graph: &Graph, nodes: &[usize], outputs: &[ValueId]) -> Loop {
    let shape = &graph.value_type(graph.nodes()[nodes[0]].output).shape;
    let mut planner = Planner {
        graph,
        shape,
        operands: Vec::new(),
        before: Vec::new(),
        code: Vec::new(),
        blocks: 0,
        made: HashMap::new(),
    };
    for index in nodes {
        planner.node(*index);
    }
    planner.finish(nodes, outputs)
}

struct Planner<'a> {
    graph: &'a Graph,
    shape: &'a [u32],
    operands: Vec<Operand>,
    /// What is the same for all elements, loaded once.
    before: Vec<Instruction>,
    /// Targets are blocks, each written once, in registers of their own.
    code: Vec<Instruction>,
    blocks: usize,
    /// Where each value is.
    made: HashMap<ValueId, Place>,
}

impl Planner<'_> {
    fn node(&mut self, index: usize) {
        let node = &self.graph.nodes()[index];
        look(1 + node.inputs.len());
        let sources: Vec<Place> = node.inputs.iter().map(|input| self.source(*input)).collect();
        let to_dtype = self.graph.value_type(node.output).dtype;
        let from_dtype = self.graph.value_type(*node.inputs.last().expect("it has operands")).dtype;
        let action = match &node.op {
            Op::Unary(unary) => Action::Unary(*unary),
            Op::Binary(binary) => Action::Binary(*binary),
            Op::Where => Action::Select,
            Op::Requantize { shift, low, high, .. } => {
                Action::Requantize(Scaling { shift: *shift, low: *low, high: *high })
            }
            Op::Cast { .. } if from_dtype != to_dtype => Action::Cast,
            // Stretching is how an operand is read; a cast to its own type changes nothing.
            Op::Broadcast { .. } | Op::Cast { .. } => {
                self.made.insert(node.output, sources[0]);
                return;
            }
            _ => unreachable!("only element-wise operations are fused"),
        };
        let to = self.block();
        let source = |i: usize| sources.get(i).copied().unwrap_or(sources[0]);
        self.code.push(Instruction { action, sources: [source(0), source(1), source(2)], from_dtype, to, to_dtype });
        self.made.insert(node.output, to);
    }

    fn source(&mut self, value: ValueId) -> Place {
        if let Some(place) = self.made.get(&value) {
            return *place;
        }
        let value_type = self.graph.value_type(value);
        let view = View::broadcast(&value_type.shape, self.shape);
        let operand = self.operands.len();
        let place = if view.is_flat() {
            Place::Operand(operand)
        } else {
            let (to, dtype) = (self.block(), value_type.dtype);
            let sources = [Place::Operand(operand); 3];
            let load = Instruction { action: Action::Load, sources, from_dtype: dtype, to, to_dtype: dtype };
            if view.is_single() {
                self.before.push(load)
            } else {
                self.code.push(load)
            }
            to
        };
        self.operands.push(Operand { value, view });
        self.made.insert(value, place);
        place
    }

    fn block(&mut self) -> Place {
        self.blocks += 1;
        Place::Register(self.blocks - 1)
    }

    /// Lets results be written in place, and gives blocks that do not live at once the same register.
    fn finish(mut self, nodes: &[usize], outputs: &[ValueId]) -> Loop {
        let mut placed: Vec<Option<Place>> = vec![None; self.blocks];
        let mut is_computed = vec![false; self.blocks];
        for instruction in &self.code {
            if let Place::Register(block) = instruction.to {
                is_computed[block] = true;
            }
        }
        let mut results = Vec::new();
        for (result, value) in outputs.iter().enumerate() {
            let dtype = self.graph.value_type(*value).dtype;
            results.push((*value, dtype));
            let from = *self.made.get(value).expect("a group makes its outputs");
            match from {
                Place::Register(block) if is_computed[block] && placed[block].is_none() => {
                    placed[block] = Some(Place::Result(result));
                }
                _ => self.code.push(Instruction {
                    action: Action::Copy,
                    sources: [from; 3],
                    from_dtype: dtype,
                    to: Place::Result(result),
                    to_dtype: dtype,
                }),
            }
        }
        // Before anything is placed: from then on targets are registers, not blocks.
        let last = self.last_reads();
        let mut registers = Registers::default();
        for instruction in &mut self.before {
            registers.place(instruction, &mut placed);
        }
        for (index, instruction) in self.code.iter_mut().enumerate() {
            let reads = instruction.sources;
            // The target first: it must not be what is read.
            registers.place(instruction, &mut placed);
            for (source, from) in reads.iter().zip(&mut instruction.sources) {
                if let Place::Register(block) = source {
                    *from = placed[*block].expect("a block is written before it is read");
                }
            }
            for source in reads {
                if let Place::Register(block) = source
                    && last[block] == Some(index)
                {
                    registers.free(placed[block]);
                    placed[block] = None;
                }
            }
        }
        Loop {
            nodes: nodes.to_vec(),
            len: self.shape.iter().map(|dim| *dim as usize).product(),
            operands: self.operands,
            before: self.before,
            code: self.code,
            results,
            registers: registers.types,
        }
    }

    /// For each block, the last instruction that reads it; none for blocks that are loaded once and stay.
    fn last_reads(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.blocks];
        for (index, instruction) in self.code.iter().enumerate() {
            for source in instruction.sources {
                if let Place::Register(block) = source {
                    last[block] = Some(index);
                }
            }
        }
        for instruction in &self.before {
            if let Place::Register(block) = instruction.to {
                last[block] = None;
            }
        }
        last
    }
}

#[derive(Default)]
struct Registers {
    types: Vec<DType>,
    free_floats: Vec<usize>,
    free_integers: Vec<usize>,
    free_bytes: [Vec<usize>; 2],
}

impl Registers {
    /// Gives an instruction's target a register, unless it is a result.
    fn place(&mut self, instruction: &mut Instruction, placed: &mut [Option<Place>]) {
        let Place::Register(block) = instruction.to else { return };
        let place = placed[block].unwrap_or_else(|| {
            let dtype = instruction.to_dtype;
            Place::Register(self.free_of(dtype).pop().unwrap_or_else(|| {
                self.types.push(dtype);
                self.types.len() - 1
            }))
        });
        placed[block] = Some(place);
        instruction.to = place;
    }

    fn free(&mut self, place: Option<Place>) {
        if let Some(Place::Register(register)) = place {
            self.free_of(self.types[register]).push(register);
        }
    }

    fn free_of(&mut self, dtype: DType) -> &mut Vec<usize> {
        match dtype {
            DType::F32 => &mut self.free_floats,
            DType::I32 => &mut self.free_integers,
            DType::I8 => &mut self.free_bytes[0],
            DType::U8 => &mut self.free_bytes[1],
        }
    }
}
