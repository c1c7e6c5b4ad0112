//! The graph under construction: applies operations to values, evaluates those whose operands are known, and gives the
//! others ids in the graph when something reads them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use shoal_graph::{DType, GraphBuilder, Literal, Op, TensorType, ValueId};

use super::{
    budget::Budget,
    fold,
    value::{Kind, Known, MAX_RECIPE_DEPTH, Origin, Value},
};
use crate::{
    element::Element,
    error::NodeError,
    limits::{MAX_FOLDED_ELEMENTS, MAX_INLINED_BYTES, MAX_INLINED_TOTAL_BYTES},
    proto::TensorProto,
    tensor::{Data, Stored, Tensor, Weight, places},
};

pub(super) type Made = Result<Value, NodeError>;

pub(crate) struct Lowering<'a> {
    pub(super) builder: GraphBuilder,
    pub(super) budget: Budget,
    stored: &'a BTreeMap<String, Stored>,
    /// Constants of nodes and subgraphs that are weights, by the names that they got.
    constants: HashMap<String, Stored>,
    /// Those names by where the elements lie, which a loop passes again and again.
    constant_names: HashMap<(*const u8, Element, Vec<u32>), String>,
    input_names: HashSet<String>,
    /// Initialisers that are known, once a node has read them.
    decoded: HashMap<Rc<str>, Value>,
    pub(super) weights: Vec<(String, Weight)>,
    weight_ids: HashMap<String, ValueId>,
    /// 8-bit values by the i32 value that they were cast to.
    narrow: HashMap<ValueId, ValueId>,
    literals: HashMap<(TensorType, Vec<u8>), ValueId>,
    known_ids: HashMap<*const Known, (Rc<Known>, ValueId)>,
    inlined_bytes: usize,
    named_constants: usize,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(stored: &'a BTreeMap<String, Stored>) -> Self {
        Self {
            builder: GraphBuilder::new(),
            budget: Budget::default(),
            stored,
            constants: HashMap::new(),
            constant_names: HashMap::new(),
            input_names: HashSet::new(),
            decoded: HashMap::new(),
            weights: Vec::new(),
            weight_ids: HashMap::new(),
            narrow: HashMap::new(),
            literals: HashMap::new(),
            known_ids: HashMap::new(),
            inlined_bytes: 0,
            named_constants: 0,
        }
    }

    /// Applies an operation; the result has the given ONNX type.
    pub(super) fn emit(&mut self, op: Op, inputs: &[&Value], element: Element) -> Made {
        if let Some(value) = self.fold(&op, inputs, element) {
            return Ok(value);
        }
        let ids = inputs.iter().map(|value| self.id(value)).collect::<Result<Vec<_>, _>>()?;
        self.apply(op, &ids, element)
    }

    /// Applies an operation to values of the graph, without evaluating it.
    pub(super) fn apply(&mut self, op: Op, ids: &[ValueId], element: Element) -> Made {
        let id = self.builder.apply(op, ids)?;
        Ok(self.made(id, element))
    }

    pub(super) fn made(&self, id: ValueId, element: Element) -> Value {
        Value { element, shape: self.builder.shape(id).to_vec(), kind: Kind::Made(id) }
    }

    fn fold(&mut self, op: &Op, inputs: &[&Value], element: Element) -> Option<Value> {
        if !inputs.iter().all(|value| value.data().is_some()) {
            return None;
        }
        // Where the budget ends, the operation is left to the graph.
        let read = inputs.iter().fold(0u64, |sum, value| sum.saturating_add(places(&value.shape)));
        self.budget.spend(read).ok()?;
        let (shape, data) = fold::evaluate(op, inputs, element, self.budget.room())?;
        self.budget.spend(places(&shape)).ok()?;
        let depth = 1 + inputs.iter().map(|value| value.depth()).max().unwrap_or(0);
        let is_large = data.len() * 4 > MAX_INLINED_BYTES;
        let origin = if is_large && depth <= MAX_RECIPE_DEPTH {
            Origin::Recipe { op: op.clone(), inputs: inputs.iter().map(|value| (*value).clone()).collect(), depth }
        } else {
            Origin::None
        };
        Some(Value::known(Tensor { element, shape, data }, origin))
    }

    /// The value in the graph: f32, or i32 for integers of any width.
    pub(super) fn id(&mut self, value: &Value) -> Result<ValueId, NodeError> {
        match &value.kind {
            Kind::Made(id) => Ok(*id),
            Kind::Weight(name) => self.weight(name),
            Kind::Known(known) => {
                if let Some((_, id)) = self.known_ids.get(&Rc::as_ptr(known))
                    && self.builder.shape(*id) == value.shape
                {
                    return Ok(*id);
                }
                let id = self.place(value, known)?;
                self.known_ids.insert(Rc::as_ptr(known), (known.clone(), id));
                Ok(id)
            }
        }
    }

    /// The value in the graph as 8-bit integers, where it is of such a type.
    pub(super) fn narrow_id(&mut self, value: &Value) -> Result<ValueId, NodeError> {
        let id = self.id(value)?;
        if let Some(narrow) = self.narrow.get(&id) {
            return Ok(*narrow);
        }
        Ok(self.builder.apply(Op::Cast { to: value.element.stored() }, &[id])?)
    }

    /// Adds an input of the graph.
    pub(super) fn input(&mut self, name: &str, element: Element, shape: Vec<u32>) -> Result<ValueId, NodeError> {
        let id = self.builder.input(name, TensorType::new(element.stored(), shape))?;
        self.input_names.insert(name.to_owned());
        self.widen(id)
    }

    /// Adds an operation whose operands, and whose result, may be bytes.
    pub(super) fn apply_narrow(&mut self, op: Op, ids: &[ValueId], element: Element) -> Made {
        let made = self.builder.apply(op, ids)?;
        let wide = self.widen(made)?;
        Ok(self.made(wide, element))
    }

    fn widen(&mut self, id: ValueId) -> Result<ValueId, NodeError> {
        if !matches!(self.builder.value_type(id).dtype, DType::U8 | DType::I8) {
            return Ok(id);
        }
        let wide = self.builder.apply(Op::Cast { to: DType::I32 }, &[id])?;
        self.narrow.insert(wide, id);
        Ok(wide)
    }

    fn weight(&mut self, name: &str) -> Result<ValueId, NodeError> {
        if let Some(id) = self.weight_ids.get(name) {
            return Ok(*id);
        }
        let stored = self.stored(name);
        let id = self.new_weight(name.to_owned(), stored.weight()?)?;
        self.weight_ids.insert(name.to_owned(), id);
        Ok(id)
    }

    fn stored(&self, name: &str) -> &Stored {
        let stored = self.stored.get(name).or_else(|| self.constants.get(name));
        stored.expect("a weight is named after what holds it")
    }

    fn new_weight(&mut self, name: String, weight: Weight) -> Result<ValueId, NodeError> {
        let id = self.builder.input(&name, weight.tensor_type.clone())?;
        self.weights.push((name, weight));
        self.widen(id)
    }

    /// Makes a known value part of the graph.
    fn place(&mut self, value: &Value, known: &Known) -> Result<ValueId, NodeError> {
        if value.elements() > 16
            && let Some(uniform) = value.uniform()
        {
            let scalar = self.id(&Value::scalar(value.element, uniform))?;
            return Ok(self.builder.broadcast(scalar, &value.shape)?);
        }
        let size = value.elements() as usize * 4;
        if size > MAX_INLINED_BYTES || self.inlined_bytes + size > MAX_INLINED_TOTAL_BYTES {
            match &known.origin {
                Origin::Weight(name) => return self.weight(name),
                Origin::Recipe { op, inputs, .. } => {
                    let ids = inputs.iter().map(|input| self.id(input)).collect::<Result<Vec<_>, _>>()?;
                    return Ok(self.builder.apply(op.clone(), &ids)?);
                }
                Origin::None => {}
            }
        }
        let dtype = if value.element.is_float() { DType::F32 } else { DType::I32 };
        let tensor_type = TensorType::new(dtype, value.shape.clone());
        self.budget.spend(value.elements())?;
        let bytes = known.data.bytes()?;
        if size > MAX_INLINED_BYTES || self.inlined_bytes + size > MAX_INLINED_TOTAL_BYTES {
            tensor_type.check()?;
            let name = self.free_name();
            return self.new_weight(name, Weight { tensor_type, bytes: bytes.into() });
        }
        let key = (tensor_type, bytes);
        if let Some(id) = self.literals.get(&key) {
            return Ok(*id);
        }
        let literal = Literal::from_bytes(key.0.clone(), key.1.clone());
        let id = self.builder.apply(Op::Constant(literal), &[])?;
        self.inlined_bytes += size;
        self.literals.insert(key, id);
        Ok(id)
    }

    /// A name for a constant of the model that is too large for the graph.
    fn free_name(&mut self) -> String {
        loop {
            let name = format!("constant.{}", self.named_constants);
            self.named_constants += 1;
            if !self.stored.contains_key(&name) && !self.input_names.contains(&name) {
                return name;
            }
        }
    }

    /// The value as a node reads it: initialisers that may decide shapes become known when they are first read, as long
    /// as the budget has room.
    pub(super) fn read(&mut self, value: &Value) -> Value {
        let Kind::Weight(name) = &value.kind else { return value.clone() };
        if let Some(known) = self.decoded.get(name) {
            return known.clone();
        }
        let stored = self.stored(name);
        if !may_decide_shapes(stored) || self.budget.spend(places(stored.shape())).is_err() {
            return value.clone();
        }
        let known = Value::known(stored.decode(), Origin::Weight(name.clone()));
        self.decoded.insert(name.clone(), known.clone());
        known
    }

    /// A tensor of a node or a subgraph: known where it is small, otherwise as an initialiser would be.
    pub(super) fn constant(&mut self, tensor: &TensorProto) -> Made {
        let stored = Stored::from_proto(tensor)?;
        if stored.elements() * 4 <= MAX_INLINED_BYTES {
            self.budget.spend(stored.elements() as u64)?;
            return Ok(Value::of(stored.decode()));
        }
        let place = (stored.bytes().as_ptr(), stored.element(), stored.shape().to_vec());
        let name = match self.constant_names.get(&place) {
            Some(name) => name.clone(),
            None => self.free_name(),
        };
        let value = Value::weight(&name, &stored);
        self.constant_names.insert(place, name.clone());
        self.constants.insert(name, stored);
        Ok(value)
    }

    /// Elements that are known, or become so because an initialiser holds them.
    pub(super) fn known(&self, value: &Value) -> Result<Option<Data>, NodeError> {
        let is_small = value.elements() <= MAX_FOLDED_ELEMENTS as u64;
        match &value.kind {
            Kind::Known(known) => {
                self.budget.spend(value.elements())?;
                Ok(Some(known.data.clone()))
            }
            Kind::Weight(name) if is_small => {
                self.budget.spend(value.elements())?;
                Ok(Some(self.stored(name).decode().data))
            }
            _ => Ok(None),
        }
    }
}

/// Integers and scalars may, unless they are many; bytes are quantised weights.
fn may_decide_shapes(stored: &Stored) -> bool {
    let is_byte = matches!(stored.element(), Element::U8 | Element::I8);
    let is_small = stored.elements() <= MAX_FOLDED_ELEMENTS;
    stored.shape().is_empty() || (is_small && !stored.element().is_float() && !is_byte) || stored.elements() == 0
}
