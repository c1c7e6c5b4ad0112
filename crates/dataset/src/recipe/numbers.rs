//! Columns of numbers, and columns that hold arrays.

use super::{column, refused, wrong_kind};
use crate::array::element_count;
use crate::{Array, DatasetError, ElementType, Elements, Reason, Row, Value};

/// Columns of single numbers, in this order, as one array.
#[derive(Clone, Debug)]
pub struct NumbersInput {
    /// Input of the model.
    pub input: String,
    /// Columns of numbers, of truth values, or of texts that are numbers.
    pub columns: Vec<String>,
    /// What the model's input holds.
    pub element_type: ElementType,
    /// Shape of one row of the input, as `[1, 8, 8]` for 64 columns of a picture's pixels.
    pub shape: Vec<u32>,
}

/// A column of arrays, as it is.
#[derive(Clone, Debug)]
pub struct TensorInput {
    /// Input of the model.
    pub input: String,
    /// Column of arrays or single numbers.
    pub column: String,
    /// What the model's input holds; integers become floats where it holds those.
    pub element_type: ElementType,
    /// Shape that every row must have.
    pub shape: Vec<u32>,
}

impl NumbersInput {
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        match element_count(&self.shape) == Some(self.columns.len()) {
            true => Ok(()),
            false => Err(refused(&self.input, "has another number of elements than there are columns")),
        }
    }

    pub(super) fn prepare(&self, row: &Row) -> Result<Array, Reason> {
        let columns = self.columns.iter();
        let data = match self.element_type {
            ElementType::F32 => Elements::F32(columns.map(|column| float(row, column)).collect::<Result<_, _>>()?),
            ElementType::I32 => Elements::I32(columns.map(|column| integer(row, column)).collect::<Result<_, _>>()?),
        };
        Ok(Array::new(self.shape.clone(), data).expect("a recipe's shape has as many elements as there are columns"))
    }
}

impl TensorInput {
    pub(super) fn prepare(&self, row: &Row) -> Result<Array, Reason> {
        let array = match column(row, &self.column)? {
            Value::Numbers(array) => array,
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) if self.shape.is_empty() => {
                let data = match self.element_type {
                    ElementType::F32 => Elements::F32(vec![float(row, &self.column)?]),
                    ElementType::I32 => Elements::I32(vec![integer(row, &self.column)?]),
                };
                return Ok(Array::new(Vec::new(), data).expect("one element is a scalar"));
            }
            other => return Err(wrong_kind(&self.column, "numbers", other)),
        };
        if array.shape() != self.shape {
            let (expected, found) = (self.shape.clone(), array.shape().to_vec());
            return Err(Reason::Shape { column: self.column.clone(), expected, found });
        }
        match (array.data(), self.element_type) {
            (Elements::I32(integers), ElementType::F32) => {
                let floats = Elements::F32(integers.iter().map(|&integer| integer as f32).collect());
                Ok(Array::new(self.shape.clone(), floats).expect("as many floats as integers"))
            }
            (Elements::F32(_), ElementType::I32) => {
                Err(wrong_kind(&self.column, "integers", &Value::Unusable("numbers that are not whole")))
            }
            _ => Ok(array.clone()),
        }
    }
}

fn float(row: &Row, name: &str) -> Result<f32, Reason> {
    let value = column(row, name)?;
    let float = match value {
        Value::Integer(integer) => *integer as f64,
        Value::Float(float) => *float,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::Text(text) => text.trim().parse().map_err(|_| out_of_range(name, text, "a number"))?,
        other => return Err(wrong_kind(name, "a number", other)),
    };
    let single = float as f32;
    match single.is_finite() || !float.is_finite() {
        true => Ok(single),
        false => Err(out_of_range(name, float, "a 32-bit float")),
    }
}

fn integer(row: &Row, name: &str) -> Result<i32, Reason> {
    let value = column(row, name)?;
    let integer = match value {
        Value::Integer(integer) => *integer,
        Value::Bool(truth) => i64::from(*truth),
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => *float as i64,
        Value::Float(float) => return Err(out_of_range(name, float, "a 32-bit integer")),
        Value::Text(text) => text.trim().parse().map_err(|_| out_of_range(name, text, "a whole number"))?,
        other => return Err(wrong_kind(name, "an integer", other)),
    };
    i32::try_from(integer).map_err(|_| out_of_range(name, integer, "a 32-bit integer"))
}

fn out_of_range(column: &str, value: impl ToString, wanted: &'static str) -> Reason {
    Reason::OutOfRange { column: column.to_owned(), value: value.to_string().chars().take(80).collect(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Value) -> Row {
        Row { index: 0, place: String::new(), fields: vec![("x".to_owned(), value)] }
    }

    #[test]
    fn numbers_of_every_kind_become_the_inputs_kind() {
        for (value, single, whole) in [
            (Value::Integer(7), 7.0, 7),
            (Value::Float(7.0), 7.0, 7),
            (Value::Bool(true), 1.0, 1),
            (Value::Text(" 7 ".to_owned()), 7.0, 7),
        ] {
            assert_eq!(float(&row(value.clone()), "x"), Ok(single));
            assert_eq!(integer(&row(value), "x"), Ok(whole));
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |result: Result<f32, Reason>| result.unwrap_err().to_string();
        assert_eq!(message(float(&row(Value::Null), "x")), "column x holds nothing, a number was expected");
        assert_eq!(message(float(&row(Value::Text("abc".to_owned())), "x")), "column x: abc is not a number");
        assert_eq!(message(float(&row(Value::Float(1e39)), "x")), format!("column x: {} is not a 32-bit float", 1e39));
        assert_eq!(message(float(&row(Value::Null), "y")), "no column y");
        let large = integer(&row(Value::Integer(1 << 31)), "x").unwrap_err();
        assert_eq!(large.to_string(), "column x: 2147483648 is not a 32-bit integer");
        assert!(integer(&row(Value::Float(0.5)), "x").is_err());
    }

    #[test]
    fn an_array_must_have_the_inputs_shape_and_kind() {
        let tensor = |element_type, shape: &[u32]| TensorInput {
            input: "y".to_owned(),
            column: "x".to_owned(),
            element_type,
            shape: shape.to_vec(),
        };
        let integers = row(Value::Numbers(Array::new(vec![2], Elements::I32(vec![1, 2])).unwrap()));
        assert_eq!(tensor(ElementType::F32, &[2]).prepare(&integers), Ok(Array::vector(vec![1.0, 2.0])));
        assert_eq!(
            tensor(ElementType::I32, &[3]).prepare(&integers).unwrap_err().to_string(),
            "column x has shape [2], the input [3]"
        );
        let floats = row(Value::Numbers(Array::vector(vec![0.5])));
        assert!(tensor(ElementType::I32, &[1]).prepare(&floats).is_err());
        assert_eq!(tensor(ElementType::F32, &[]).prepare(&row(Value::Integer(3))).unwrap().shape(), [0u32; 0]);
    }
}
