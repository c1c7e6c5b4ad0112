//! The vectors of a file nearest to one, by cosine: every vector is looked at, none is kept.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::limits::MAX_NEIGHBOURS;
use crate::{Array, DatasetError, Elements, Source, Value};

/// A vector of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub row: u64,
    /// Cosine of the angle between it and the query: 1 for the same direction.
    pub cosine: f32,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Nearest first; of equally near ones the earlier row.
    pub neighbours: Vec<Neighbour>,
    /// Rows without a vector of the query's size: failed ones, and those that are zero or not numbers.
    pub skipped_rows: u64,
}

/// The `count` vectors of `source` nearest to `query`; in a column, or where `column` is None, in the first that holds
/// numbers.
pub fn nearest(source: &mut Source, column: Option<&str>, query: &[f32], count: usize) -> Result<Found, DatasetError> {
    if count > MAX_NEIGHBOURS {
        let (got, limit) = (count as u64, MAX_NEIGHBOURS as u64);
        return Err(DatasetError::Limit { what: "neighbours", got, limit });
    }
    let mut heap = BinaryHeap::with_capacity(count + 1);
    let mut skipped_rows = 0;
    while let Some(row) = source.next_row()? {
        let cosine = row.as_ref().ok().and_then(|row| {
            let array = match column {
                Some(column) => as_numbers(row.get(column)?)?,
                None => row.fields.iter().find_map(|(_, value)| as_numbers(value))?,
            };
            cosine(query, array)
        });
        match (row, cosine) {
            (Ok(row), Some(cosine)) => {
                heap.push(Farthest(Neighbour { row: row.index, cosine }));
                if heap.len() > count {
                    heap.pop();
                }
            }
            _ => skipped_rows += 1,
        }
    }
    let neighbours = heap.into_sorted_vec().into_iter().map(|Farthest(neighbour)| neighbour).collect();
    Ok(Found { neighbours, skipped_rows })
}

fn as_numbers(value: &Value) -> Option<&Array> {
    match value {
        Value::Numbers(array) => Some(array),
        _ => None,
    }
}

fn cosine(query: &[f32], array: &Array) -> Option<f32> {
    let integers: Vec<f32>;
    let vector = match array.data() {
        Elements::F32(floats) => floats,
        Elements::I32(numbers) => {
            integers = numbers.iter().map(|&number| number as f32).collect();
            &integers
        }
    };
    if vector.len() != query.len() {
        return None;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(query, vector) / (dot(query, query) * dot(vector, vector)).sqrt();
    cosine.is_finite().then_some(cosine as f32)
}

/// The heap's greatest is the one to let go: the lowest cosine, of equal ones the latest row.
struct Farthest(Neighbour);

impl Ord for Farthest {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.cosine.total_cmp(&self.0.cosine).then(self.0.row.cmp(&other.0.row))
    }
}

impl PartialOrd for Farthest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Farthest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Farthest {}
