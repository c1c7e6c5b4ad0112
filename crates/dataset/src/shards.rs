//! Rows of equal shapes in shards, always the same ones for the same input: a job that resumes meets the blobs it left.
//!
//! Rows wait by the shapes of their arrays, so that texts of one padded length come together. A shard goes out when it
//! is full, and every shard when a window of rows ends: no result waits for one of a row much later.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use crate::limits::{MAX_SHARD_BYTES, MAX_SHARD_ROWS, MAX_WAITING_SHAPES};
use crate::{Array, DatasetError, Recipe, RowError, Source};

/// How rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// Rows of a full shard; fewer if their arrays reach [`MAX_SHARD_BYTES`].
    pub rows_per_shard: u32,
    /// Rows of the input after which every shard goes out, full or not.
    pub window_rows: u64,
}

/// Rows that are computed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// From 0, in the order in which shards go out.
    pub number: u64,
    /// Indices of its rows, rising.
    pub rows: Vec<u64>,
    /// Tokens of each row, padding included, if the recipe has a text.
    pub bucket: Option<u32>,
    /// The model's inputs by name, each `[rows, …]`.
    pub arrays: BTreeMap<String, Array>,
}

/// What reading on has given.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Rows to compute.
    Shard(Shard),
    /// A row that will have no result.
    Failed(RowError),
}

/// Reads a source, prepares its rows by a recipe and stacks them.
#[derive(Debug)]
pub struct Shards {
    source: Source,
    recipe: Recipe,
    options: ShardOptions,
    waiting: BTreeMap<Vec<Vec<u32>>, Waiting>,
    ready: VecDeque<Step>,
    next_number: u64,
    rows_read: u64,
    end: Option<Result<(), DatasetError>>,
}

#[derive(Debug, Default)]
struct Waiting {
    rows: Vec<u64>,
    arrays: Vec<BTreeMap<String, Array>>,
    bytes: usize,
}

impl Shards {
    /// Refuses sizes of zero or beyond the limit.
    pub fn new(source: Source, recipe: Recipe, options: ShardOptions) -> Result<Self, DatasetError> {
        if !(1..=MAX_SHARD_ROWS).contains(&options.rows_per_shard) || options.window_rows == 0 {
            let (got, limit) = (options.rows_per_shard.into(), MAX_SHARD_ROWS.into());
            return Err(DatasetError::Limit { what: "rows of a shard", got, limit });
        }
        let (waiting, ready) = Default::default();
        Ok(Self { source, recipe, options, waiting, ready, next_number: 0, rows_read: 0, end: None })
    }

    /// The next shard or failed row; None behind the last. If the source breaks off, the rows before come first, then
    /// the error.
    pub fn next_step(&mut self) -> Result<Option<Step>, DatasetError> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            match &mut self.end {
                Some(end) => return mem::replace(end, Ok(())).map(|()| None),
                None => self.read(),
            }
        }
    }

    /// Rows read so far, those that failed too.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    fn read(&mut self) {
        match self.source.next_row() {
            Ok(Some(row)) => {
                self.rows_read += 1;
                match row.and_then(|row| Ok((row.index, self.recipe.prepare(&row)?))) {
                    Ok((index, arrays)) => self.add(index, arrays),
                    Err(error) => self.ready.push_back(Step::Failed(error)),
                }
                if self.rows_read.is_multiple_of(self.options.window_rows) {
                    self.flush();
                }
            }
            Ok(None) => self.finish(Ok(())),
            Err(error) => self.finish(Err(error)),
        }
    }

    fn finish(&mut self, end: Result<(), DatasetError>) {
        self.flush();
        self.end = Some(end);
    }

    fn add(&mut self, index: u64, arrays: BTreeMap<String, Array>) {
        let shapes: Vec<_> = arrays.values().map(|array| array.shape().to_vec()).collect();
        let waiting = self.waiting.entry(shapes.clone()).or_default();
        waiting.bytes += arrays.values().map(|array| array.data().len() * size_of::<f32>()).sum::<usize>();
        waiting.rows.push(index);
        waiting.arrays.push(arrays);
        if waiting.rows.len() >= self.options.rows_per_shard as usize || waiting.bytes >= MAX_SHARD_BYTES {
            self.send(&shapes);
        } else if self.waiting.len() > MAX_WAITING_SHAPES {
            let fullest = self.waiting.iter().max_by_key(|(_, waiting)| waiting.bytes);
            if let Some(shapes) = fullest.map(|(shapes, _)| shapes.clone()) {
                self.send(&shapes);
            }
        }
    }

    fn flush(&mut self) {
        while let Some(shapes) = self.waiting.keys().next().cloned() {
            self.send(&shapes);
        }
    }

    fn send(&mut self, shapes: &[Vec<u32>]) {
        let Some(waiting) = self.waiting.remove(shapes) else { return };
        let arrays: BTreeMap<_, _> = self
            .recipe
            .names()
            .filter_map(|name| {
                Some((name.to_owned(), Array::stack(waiting.arrays.iter().map(|arrays| &arrays[name]))?))
            })
            .collect();
        let ids = self.recipe.token_ids().and_then(|name| arrays.get(name));
        let bucket = ids.and_then(|ids| ids.shape().get(1).copied());
        self.ready.push_back(Step::Shard(Shard { number: self.next_number, rows: waiting.rows, bucket, arrays }));
        self.next_number += 1;
    }
}
