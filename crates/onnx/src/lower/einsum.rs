//! Einstein sums: operands are joined two at a time, each pair as a batched matrix product.

use super::{
    call::{Call, dim},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{error::NodeError, limits::MAX_RANK};
use shoal_graph::Reduction;

/// A tensor whose axes have labels.
struct Term {
    value: Value,
    labels: Vec<char>,
}

pub(super) fn einsum(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let equation: String = call.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let refused = |reason| call.refuse("equation", reason);
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let operands = call.all()?;
    let texts: Vec<&str> = left.split(',').collect();
    if texts.len() != operands.len() {
        return Err(refused("it names another number of operands"));
    }
    let mut terms = Vec::new();
    for (text, value) in texts.iter().zip(operands) {
        let labels = labels(text, value.rank()).ok_or_else(|| refused("labels and dimensions differ in number"))?;
        terms.push(low.diagonal(Term { value, labels })?);
    }
    let output = match right {
        Some(text) => {
            let widest =
                terms.iter().map(|term| term.labels.iter().filter(|label| !label.is_alphabetic()).count()).max();
            let rank = text.replace("...", "").len() + if text.contains("...") { widest.unwrap_or(0) } else { 0 };
            labels(text, rank).ok_or_else(|| refused("labels of the output"))?
        }
        None => implicit(&texts, &terms),
    };
    let mut joined = terms.remove(0);
    while !terms.is_empty() {
        let next = terms.remove(0);
        let needed: Vec<char> = output.iter().chain(terms.iter().flat_map(|term| &term.labels)).copied().collect();
        joined = low.join(call, joined, next, &needed)?;
    }
    let summed = low.sum_out(joined, &output)?;
    if summed.labels.len() != output.len() || output.iter().any(|label| !summed.labels.contains(label)) {
        return Err(refused("the output names what no operand has"));
    }
    Ok(vec![low.ordered(&summed, &output)?])
}

/// Digits stand for the dimensions of an ellipsis, the last of which is always the same.
fn labels(text: &str, rank: usize) -> Option<Vec<char>> {
    let named = text.replace("...", "");
    if rank > MAX_RANK || !named.chars().all(|label| label.is_ascii_alphabetic()) {
        return None;
    }
    let dots = rank.checked_sub(named.len())?;
    let ellipsis: String = (0..dots).rev().map(|at| char::from(b'0' + at as u8)).collect();
    match text.contains("...") {
        true => Some(text.replacen("...", &ellipsis, 1).chars().collect()),
        false if dots == 0 => Some(named.chars().collect()),
        false => None,
    }
}

/// Labels that occur once, in the order of the alphabet, after the ellipsis.
fn implicit(texts: &[&str], terms: &[Term]) -> Vec<char> {
    let all: String = texts.concat().replace("...", "");
    let mut dots: Vec<char> =
        terms.iter().flat_map(|term| &term.labels).filter(|label| !label.is_alphabetic()).copied().collect();
    dots.sort_unstable_by(|a, b| b.cmp(a));
    dots.dedup();
    let mut once: Vec<char> = all.chars().filter(|label| all.matches(*label).count() == 1).collect();
    once.sort_unstable();
    dots.into_iter().chain(once).collect()
}

impl Lowering<'_> {
    /// A label that a term has twice means its diagonal.
    fn diagonal(&mut self, mut term: Term) -> Result<Term, NodeError> {
        let twice = |labels: &[char]| {
            (0..labels.len()).find_map(|at| Some((at, labels[..at].iter().position(|l| *l == labels[at])?)))
        };
        while let Some((second, first)) = twice(&term.labels) {
            let side = term.value.shape[first];
            if term.value.shape[second] != side {
                return Err(NodeError::Unsupported("a diagonal of a matrix that is not square"));
            }
            let rank = term.value.rank() as u32;
            let ends = [first as u32, second as u32];
            let axes: Vec<u32> = (0..rank).filter(|axis| !ends.contains(axis)).chain(ends).collect();
            let moved = self.transpose(&term.value, &axes)?;
            let outer = moved.shape[..moved.rank() - 2].to_vec();
            let flat = self.reshape(&moved, &[outer.as_slice(), &[dim(&[side, side])?]].concat())?;
            term.value = self.slice(&flat, outer.len(), 0, side as i32 + 1, side)?;
            let label = term.labels[first];
            term.labels = axes[..outer.len()].iter().map(|axis| term.labels[*axis as usize]).chain([label]).collect();
        }
        Ok(term)
    }

    /// Sums over labels that nothing needs.
    fn sum_out(&mut self, term: Term, needed: &[char]) -> Result<Term, NodeError> {
        let over: Vec<usize> = (0..term.labels.len()).filter(|at| !needed.contains(&term.labels[*at])).collect();
        let value = self.reduce(Reduction::Sum, &term.value, &over, false)?;
        Ok(Term { value, labels: term.labels.into_iter().filter(|label| needed.contains(label)).collect() })
    }

    fn ordered(&mut self, term: &Term, labels: &[char]) -> Made {
        let place = |label: &char| term.labels.iter().position(|own| own == label).map_or(0, |at| at as u32);
        self.transpose(&term.value, &labels.iter().map(place).collect::<Vec<_>>())
    }

    fn join(&mut self, call: &Call<'_>, a: Term, b: Term, needed: &[char]) -> Result<Term, NodeError> {
        let a_needs: Vec<char> = needed.iter().chain(&b.labels).copied().collect();
        let b_needs: Vec<char> = needed.iter().chain(&a.labels).copied().collect();
        let (a, b) = (self.sum_out(a, &a_needs)?, self.sum_out(b, &b_needs)?);
        let shared = |label: &&char| b.labels.contains(label);
        let batch: Vec<char> = a.labels.iter().filter(shared).filter(|label| needed.contains(label)).copied().collect();
        let inner: Vec<char> =
            a.labels.iter().filter(shared).filter(|label| !needed.contains(label)).copied().collect();
        let rows: Vec<char> = a.labels.iter().filter(|label| !b.labels.contains(label)).copied().collect();
        let columns: Vec<char> = b.labels.iter().filter(|label| !a.labels.contains(label)).copied().collect();
        let dim_of = |label: &char| {
            let of = |term: &Term| term.labels.iter().position(|own| own == label).map(|at| term.value.shape[at]);
            of(&a).max(of(&b)).unwrap_or(1)
        };
        let dims = |labels: &[char]| labels.iter().map(dim_of).collect::<Vec<u32>>();
        let size = |labels: &[char]| dim(&dims(labels));
        for label in batch.iter().chain(&inner) {
            let of = |term: &Term| term.labels.iter().position(|own| own == label).map(|at| term.value.shape[at]);
            if of(&a) != of(&b) {
                return Err(call.refuse("equation", "one label has two sizes"));
            }
        }
        let a_value = self.ordered(&a, &[batch.as_slice(), &rows, &inner].concat())?;
        let b_value = self.ordered(&b, &[batch.as_slice(), &inner, &columns].concat())?;
        let a_value = self.reshape(&a_value, &[size(&batch)?, size(&rows)?, size(&inner)?])?;
        let b_value = self.reshape(&b_value, &[size(&batch)?, size(&inner)?, size(&columns)?])?;
        let made = self.product(&a_value, &b_value, false, false)?;
        let labels = [batch, rows, columns].concat();
        Ok(Term { value: self.reshape(&made, &dims(&labels))?, labels })
    }
}
