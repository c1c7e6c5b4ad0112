//! Operations on single elements.

use super::DType;

/// An operation on each element of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unary {
    /// −x.
    Neg,
    /// |x|.
    Abs,
    /// −1, 0 or 1; zero keeps its sign.
    Sign,
    /// Greatest integer that is not above x.
    Floor,
    /// Least integer that is not below x.
    Ceil,
    /// Nearest integer, ties to even.
    Round,
    /// √x; of an integer rounded down, and 0 below 0.
    Sqrt,
    /// 1/x.
    Reciprocal,
    /// e^x.
    Exp,
    /// ln x.
    Log,
    /// sin x.
    Sin,
    /// cos x.
    Cos,
    /// tanh x.
    Tanh,
    /// erf x.
    Erf,
    /// 1/(1 + e^−x).
    Sigmoid,
    /// x if x > 0, else +0.
    Relu,
}

impl Unary {
    /// All of them, in the order of their wire numbers from 1.
    pub const ALL: [Self; 16] = [
        Self::Neg,
        Self::Abs,
        Self::Sign,
        Self::Floor,
        Self::Ceil,
        Self::Round,
        Self::Sqrt,
        Self::Reciprocal,
        Self::Exp,
        Self::Log,
        Self::Sin,
        Self::Cos,
        Self::Tanh,
        Self::Erf,
        Self::Sigmoid,
        Self::Relu,
    ];

    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Abs => "abs",
            Self::Sign => "sign",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Round => "round",
            Self::Sqrt => "sqrt",
            Self::Reciprocal => "reciprocal",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Erf => "erf",
            Self::Sigmoid => "sigmoid",
            Self::Relu => "relu",
        }
    }

    /// Whether it takes integers too; all take f32.
    pub fn takes_i32(self) -> bool {
        matches!(self, Self::Neg | Self::Abs | Self::Sign | Self::Sqrt)
    }

    /// Whether it is a polynomial or more: counted as [`crate::cost::TRANSCENDENTAL_WEIGHT`] operations.
    pub fn is_transcendental(self) -> bool {
        matches!(self, Self::Exp | Self::Log | Self::Sin | Self::Cos | Self::Tanh | Self::Erf | Self::Sigmoid)
    }
}

/// An operation on the elements of two tensors, broadcast to one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b; integers wrap.
    Add,
    /// a − b; integers wrap.
    Sub,
    /// a·b; integers wrap.
    Mul,
    /// a/b; integers towards zero, and 0 where b is 0.
    Div,
    /// b if b > a, else a.
    Max,
    /// b if b < a, else a.
    Min,
    /// a^b.
    Pow,
    /// 1 if a < b, else 0.
    Less,
    /// 1 if a ≤ b, else 0.
    LessEqual,
    /// 1 if a = b, else 0.
    Equal,
    /// Bits of both; for truth values, whether both.
    And,
    /// Bits of either; for truth values, whether either.
    Or,
    /// Bits of one alone; for truth values, whether one alone.
    Xor,
}

impl Binary {
    /// All of them, in the order of their wire numbers from 1.
    pub const ALL: [Self; 13] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Max,
        Self::Min,
        Self::Pow,
        Self::Less,
        Self::LessEqual,
        Self::Equal,
        Self::And,
        Self::Or,
        Self::Xor,
    ];

    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Max => "max",
            Self::Min => "min",
            Self::Pow => "pow",
            Self::Less => "less",
            Self::LessEqual => "less_equal",
            Self::Equal => "equal",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
        }
    }

    /// Whether the result is a truth value.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Less | Self::LessEqual | Self::Equal)
    }

    /// Whether it takes operands of that type.
    pub fn takes(self, dtype: DType) -> bool {
        match self {
            Self::Pow => dtype == DType::F32,
            Self::And | Self::Or | Self::Xor => dtype == DType::I32,
            _ => matches!(dtype, DType::F32 | DType::I32),
        }
    }
}
