//! Norms, which a graph spells with a dozen operations: x / √(mean x² + ε), the same of x less its mean, and x / √(Σ x²).

use shoal_graph::{Binary, Graph, Node, Op, Reduction, Unary, ValueId};

use crate::calibrate::Facts;

/// A node that ends a norm over the last axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Norm {
    /// What is standardised.
    pub(crate) x: ValueId,
    /// What is divided by the root: x, or x less its mean.
    pub(crate) centred: ValueId,
    /// Whether squares are averaged rather than added.
    pub(crate) is_mean: bool,
    pub(crate) epsilon: f64,
}

/// Finds norms by the node that ends each.
pub(crate) struct Finder<'a> {
    graph: &'a Graph,
    facts: &'a Facts,
    makers: Vec<Option<usize>>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(graph: &'a Graph, facts: &'a Facts) -> Self {
        let mut makers = vec![None; graph.types().len()];
        for (at, node) in graph.nodes().iter().enumerate() {
            makers[node.output.index()] = Some(at);
        }
        Self { graph, facts, makers }
    }

    /// The norm that a node ends.
    pub(crate) fn at(&self, node: &Node) -> Option<Norm> {
        let (a, b) = (*node.inputs.first()?, *node.inputs.get(1)?);
        match node.op {
            Op::Binary(Binary::Div) => self.norm(a, self.moved(b)),
            Op::Binary(Binary::Mul) => [(a, b), (b, a)].into_iter().find_map(|(x, inverse)| {
                let maker = self.maker(self.moved(inverse))?;
                match maker.op {
                    Op::Unary(Unary::Reciprocal) => self.norm(x, self.moved(maker.inputs[0])),
                    Op::Binary(Binary::Div) if self.scalar(maker.inputs[0]) == Some(1.0) => {
                        self.norm(x, self.moved(maker.inputs[1]))
                    }
                    _ => None,
                }
            }),
            _ => None,
        }
    }

    /// x over that root.
    fn norm(&self, centred: ValueId, root: ValueId) -> Option<Norm> {
        let mut epsilon = 0.0;
        let mut maker = self.maker(root)?;
        if let Op::Binary(Binary::Max) = maker.op {
            // A bound against division by zero, which integers have already.
            let (root, _) = self.and_scalar(maker)?;
            maker = self.maker(self.moved(root))?;
        }
        let mut square = match maker.op {
            Op::Unary(Unary::Sqrt) => self.moved(maker.inputs[0]),
            _ => return None,
        };
        if let Some((rest, added)) = self.binary(square, Binary::Add) {
            (square, epsilon) = (self.moved(rest), added);
        }
        let shape = &self.graph.value_type(centred).shape;
        let width = f64::from(*shape.last()?);
        let (sum, is_mean) = match self.over(square, width) {
            Some(sum) => (sum, true),
            None => (square, false),
        };
        let squares = self.row_sum(sum)?;
        let product = self.maker(squares)?;
        let is_square = match product.op {
            Op::Binary(Binary::Mul) => product.inputs == [centred, centred],
            Op::Binary(Binary::Pow) => product.inputs[0] == centred && self.scalar(product.inputs[1]) == Some(2.0),
            _ => false,
        };
        if !is_square {
            return None;
        }
        let x = self.less_its_mean(centred, width).unwrap_or(centred);
        Some(Norm { x, centred, is_mean, epsilon })
    }

    /// What the value is, less its mean over the last axis.
    fn less_its_mean(&self, centred: ValueId, width: f64) -> Option<ValueId> {
        let maker = self.maker(centred).filter(|node| node.op == Op::Binary(Binary::Sub))?;
        let sum = self.over(self.moved(maker.inputs[1]), width)?;
        (self.row_sum(sum)? == maker.inputs[0]).then_some(maker.inputs[0])
    }

    /// What the value is the sum of over the last axis.
    fn row_sum(&self, value: ValueId) -> Option<ValueId> {
        let maker = self.maker(self.moved(value))?;
        let last = self.graph.value_type(*maker.inputs.first()?).shape.len().checked_sub(1)?;
        let is_row_sum = matches!(&maker.op, Op::Reduce { reduction: Reduction::Sum, axes } if *axes == [last as u32]);
        is_row_sum.then_some(maker.inputs[0])
    }

    /// What the value is that number's part of.
    fn over(&self, value: ValueId, number: f64) -> Option<ValueId> {
        let near = |a: f64, b: f64| (a - b).abs() <= b.abs() * 1e-6;
        let divided = self.maker(value).filter(|node| node.op == Op::Binary(Binary::Div));
        if let Some(node) = divided {
            return self.scalar(node.inputs[1]).filter(|by| near(*by, number)).map(|_| self.moved(node.inputs[0]));
        }
        self.binary(value, Binary::Mul).filter(|(_, by)| near(*by, 1.0 / number)).map(|(x, _)| self.moved(x))
    }

    /// Operands of an operation of a value and a number.
    fn binary(&self, value: ValueId, binary: Binary) -> Option<(ValueId, f64)> {
        self.and_scalar(self.maker(value).filter(|node| node.op == Op::Binary(binary))?)
    }

    fn and_scalar(&self, node: &Node) -> Option<(ValueId, f64)> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        self.scalar(b).map(|number| (a, number)).or_else(|| self.scalar(a).map(|number| (b, number)))
    }

    /// The number that a value always is.
    fn scalar(&self, value: ValueId) -> Option<f64> {
        match self.facts.known[value.index()].as_ref()?.as_f32()? {
            [number] => Some(f64::from(*number)),
            _ => None,
        }
    }

    fn maker(&self, value: ValueId) -> Option<&Node> {
        self.makers[value.index()].map(|at| &self.graph.nodes()[at])
    }

    /// The value before reshapes and stretching.
    fn moved(&self, mut value: ValueId) -> ValueId {
        while let Some(node) = self.maker(value) {
            if !matches!(node.op, Op::Reshape { .. } | Op::Broadcast { .. }) {
                break;
            }
            value = node.inputs[0];
        }
        value
    }
}
