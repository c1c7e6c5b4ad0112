//! Every bound of this crate. The files are the consumer's own, but may be broken, or not what they are taken for: one
//! line without an end, or a header that promises terabytes, must not take the machine's memory.

/// One line of JSONL, one record of CSV, one paragraph of text. A vector of 4096 numbers in JSON takes 90 KiB.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// Columns of a row; wide tables of numbers have thousands.
pub const MAX_COLUMNS: usize = 16_384;
/// Numbers of one array of one row: 256 MiB of `f32`, as much as a model's input may have.
pub const MAX_ROW_ELEMENTS: usize = 64 << 20;
/// Dimensions of an array.
pub const MAX_DIMENSIONS: usize = 8;
/// Header of an NPY file; NumPy itself reads no more unless told to trust the file.
pub const MAX_NPY_HEADER_BYTES: usize = 10_000;
/// Images of a folder.
pub const MAX_FILES: usize = 1 << 20;
/// Folders in folders below the folder of images.
pub const MAX_FOLDER_DEPTH: usize = 32;
/// Pixels of an image, decoded or resized; PIL warns of a decompression bomb at about as many.
pub const MAX_IMAGE_PIXELS: u64 = 100_000_000;
/// A file named by a row, as an image; a photograph has less than 50 MiB.
pub const MAX_IMAGE_FILE_BYTES: u64 = 256 << 20;
/// `tokenizer.json`; the largest published vocabularies (250,000 words) have 17 MiB.
pub const MAX_TOKENIZER_BYTES: u64 = 64 << 20;
/// Text of one cell that is tokenised: hundreds of times the longest input of an embedding model.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Tokens of one row.
pub const MAX_TOKENS: u32 = 32_768;
/// Rows of one shard.
pub const MAX_SHARD_ROWS: u32 = 65_536;
/// Numbers of one shard's arrays in bytes: what a worker holds besides the model, and less than a blob may have.
pub const MAX_SHARD_BYTES: usize = 32 << 20;
/// Different shapes of rows that wait for their shard to fill; beyond, the fullest shard goes out early.
pub const MAX_WAITING_SHAPES: usize = 64;
/// Results that wait for an earlier row's result.
pub const MAX_ROWS_AHEAD: u64 = 1 << 20;
/// An output with at most so many numbers gets one CSV column for each; more become one column of JSON.
pub const MAX_CSV_NUMBERS: usize = 4096;
/// Rows of a row group of written Parquet: what is held in memory before it is written.
pub const PARQUET_GROUP_ROWS: usize = 4096;
/// Neighbours that a search returns.
pub const MAX_NEIGHBOURS: usize = 10_000;
