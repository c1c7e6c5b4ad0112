//! Text as token ids, by the tokenizer.json that its model was trained with.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use tokenizers::{EncodeInput, Encoding, PaddingDirection, PostProcessor, TruncationParams};

use super::{column, refused, wrong_kind};
use crate::limits::{MAX_TEXT_BYTES, MAX_TOKENIZER_BYTES, MAX_TOKENS};
use crate::{Array, DatasetError, Elements, Reason, Row, Value};

/// What a tokenizer that names no padding calls it.
const PADDING_TOKENS: [&str; 2] = ["[PAD]", "<pad>"];
/// How much of a text a message repeats.
const QUOTED_CHARS: usize = 40;

/// One or two columns of text as token ids `[tokens]`, and what the model reads beside them.
#[derive(Clone, Debug)]
pub struct TextInput {
    /// Column of the text.
    pub column: String,
    /// Column of a second text, for models of pairs.
    pub second_column: Option<String>,
    /// The model's tokenizer; its own truncation and padding give way to those below.
    pub tokenizer: Tokenizer,
    /// Input of the token ids.
    pub ids: String,
    /// Input of the attention mask: 1 for a token, 0 for padding.
    pub mask: Option<String>,
    /// Input of the token types: 0 for the first text, 1 for the second.
    pub token_types: Option<String>,
    /// Longer texts are cut, so that with the model's special tokens there are so many.
    pub max_tokens: u32,
    /// What shorter ones are filled up to.
    pub padding: Padding,
}

/// Lengths, in tokens, that texts are filled up to; never beyond the most tokens of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The most tokens.
    ToMaximum,
    /// The next multiple.
    MultipleOf(u32),
    /// The next of these lengths, in rising order; beyond the last, the most tokens.
    Buckets(Vec<u32>),
}

/// A Hugging Face tokenizer.
#[derive(Clone)]
pub struct Tokenizer(tokenizers::Tokenizer);

impl Padding {
    /// 32, 64, 128, 256 and 512 tokens: few enough shapes to compile a graph for each, and less than half is padding.
    pub fn buckets() -> Self {
        Self::Buckets(vec![32, 64, 128, 256, 512])
    }

    fn length(&self, tokens: u32, max_tokens: u32) -> u32 {
        let length = match self {
            Self::ToMaximum => max_tokens,
            Self::MultipleOf(multiple) => tokens.max(1).next_multiple_of(*multiple),
            Self::Buckets(lengths) => lengths.iter().copied().find(|&length| length >= tokens).unwrap_or(max_tokens),
        };
        length.min(max_tokens)
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::ToMaximum => true,
            Self::MultipleOf(multiple) => (1..=MAX_TOKENS).contains(multiple),
            Self::Buckets(lengths) => {
                lengths.first().is_some_and(|&first| first > 0) && lengths.is_sorted_by(|a, b| a < b)
            }
        }
    }
}

impl Tokenizer {
    /// Reads a tokenizer.json.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let bytes = fs::metadata(path).map_err(DatasetError::io(path))?.len();
        if bytes > MAX_TOKENIZER_BYTES {
            return Err(DatasetError::Limit { what: "bytes of a tokenizer", got: bytes, limit: MAX_TOKENIZER_BYTES });
        }
        let json = fs::read(path).map_err(DatasetError::io(path))?;
        tokenizers::Tokenizer::from_bytes(json)
            .map(Self)
            .map_err(|error| DatasetError::Tokenizer { path: path.to_owned(), detail: error.to_string() })
    }

    fn special_tokens(&self, pair: bool) -> usize {
        self.0.get_post_processor().map_or(0, |processor| processor.added_tokens(pair))
    }

    /// Id and type of what fills up, and whether it goes before the text.
    fn padding(&self) -> (u32, u32, bool) {
        match self.0.get_padding() {
            Some(padding) => (padding.pad_id, padding.pad_type_id, matches!(padding.direction, PaddingDirection::Left)),
            None => (PADDING_TOKENS.iter().find_map(|token| self.0.token_to_id(token)).unwrap_or(0), 0, false),
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("words", &self.0.get_vocab_size(true)).finish()
    }
}

impl TextInput {
    pub(super) fn check(&mut self) -> Result<(), DatasetError> {
        if self.max_tokens > MAX_TOKENS {
            let (got, limit) = (self.max_tokens.into(), MAX_TOKENS.into());
            return Err(DatasetError::Limit { what: "tokens of a row", got, limit });
        }
        let special = self.tokenizer.special_tokens(self.second_column.is_some());
        if self.max_tokens as usize <= special {
            return Err(refused(&self.ids, "has no room for a token beside the special ones"));
        }
        if !self.padding.is_sound() {
            return Err(refused(&self.ids, "is padded to lengths that are zero or do not rise"));
        }
        let truncation = TruncationParams { max_length: self.max_tokens as usize, ..TruncationParams::default() };
        let tokenizer = &mut self.tokenizer.0;
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|_| refused(&self.ids, "has no room for a token beside the special ones"))?;
        Ok(())
    }

    pub(super) fn prepare(&self, row: &Row, arrays: &mut BTreeMap<String, Array>) -> Result<(), Reason> {
        let first = text(row, &self.column)?;
        let input = match &self.second_column {
            Some(second) => EncodeInput::Dual(first.into(), text(row, second)?.into()),
            None => EncodeInput::Single(first.into()),
        };
        let encoding = self.tokenizer.0.encode_fast(input, true).map_err(|error| Reason::Tokenizer {
            column: self.column.clone(),
            text: first.chars().take(QUOTED_CHARS).collect(),
            detail: error.to_string(),
        })?;
        self.fill(&encoding, arrays);
        Ok(())
    }

    fn fill(&self, encoding: &Encoding, arrays: &mut BTreeMap<String, Array>) {
        // The tokenizer's own padding may still be on: its mask tells what is text.
        let real: Vec<usize> = (0..encoding.len()).filter(|&at| encoding.get_attention_mask()[at] == 1).collect();
        let length = self.padding.length(real.len() as u32, self.max_tokens) as usize;
        let (pad_id, pad_type, left) = self.tokenizer.padding();
        let start = if left { length.saturating_sub(real.len()) } else { 0 };
        let mut add = |name: &str, values: &[u32], padding: u32| {
            let mut row = vec![padding as i32; length];
            for (slot, &at) in row[start..].iter_mut().zip(&real) {
                *slot = values[at] as i32;
            }
            let array = Array::new(vec![length as u32], Elements::I32(row)).expect("as long as its shape says");
            arrays.insert(name.to_owned(), array);
        };
        add(&self.ids, encoding.get_ids(), pad_id);
        if let Some(mask) = &self.mask {
            add(mask, encoding.get_attention_mask(), 0);
        }
        if let Some(token_types) = &self.token_types {
            add(token_types, encoding.get_type_ids(), pad_type);
        }
    }
}

fn text<'a>(row: &'a Row, name: &str) -> Result<&'a str, Reason> {
    match column(row, name)? {
        Value::Text(text) if text.len() > MAX_TEXT_BYTES => {
            let (got, limit) = (text.len() as u64, MAX_TEXT_BYTES as u64);
            Err(Reason::ColumnLimit { column: name.to_owned(), what: "bytes of text", got, limit })
        }
        Value::Text(text) => Ok(text),
        other => Err(wrong_kind(name, "a text", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_padded_to_the_next_length_and_never_beyond_the_most() {
        let buckets = Padding::buckets();
        let lengths = [1, 32, 33, 129, 257].map(|tokens| buckets.length(tokens, 300));
        assert_eq!(lengths, [32, 32, 64, 256, 300]);
        assert_eq!(buckets.length(600, 1000), 1000);
        assert_eq!(Padding::MultipleOf(8).length(17, 512), 24);
        assert_eq!(Padding::MultipleOf(8).length(17, 20), 20);
        assert_eq!(Padding::ToMaximum.length(3, 128), 128);
    }

    #[test]
    fn lengths_must_rise() {
        assert!(Padding::buckets().is_sound());
        for lengths in [vec![], vec![0, 8], vec![8, 8], vec![16, 8]] {
            assert!(!Padding::Buckets(lengths).is_sound());
        }
        assert!(!Padding::MultipleOf(0).is_sound());
    }
}
