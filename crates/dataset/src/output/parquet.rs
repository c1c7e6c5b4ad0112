//! Parquet: `row`, a list of floats for each column of numbers, labels as JSON, `error`. Rows are gathered into groups.

use std::fs::File;
use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::jsonl::value_json;
use super::{Column, ColumnKind, Encoder, OutputValue, ResultRow};
use crate::Elements;
use crate::limits::PARQUET_GROUP_ROWS;

/// Definition levels of an optional list of required elements.
const NO_LIST: i16 = 0;
const EMPTY_LIST: i16 = 1;
const ELEMENT: i16 = 2;

pub(super) struct ParquetEncoder {
    file: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: Vec<ResultRow>,
}

impl ParquetEncoder {
    pub(super) fn new(file: File, columns: &[Column]) -> io::Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = schema(columns).and_then(|schema| SerializedFileWriter::new(file, schema, Arc::new(properties)));
        Ok(Self { file: file.map_err(io::Error::other)?, columns: columns.to_vec(), rows: Vec::new() })
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        let indices: Vec<i64> = rows.iter().map(|row| row.row as i64).collect();
        if let Some(mut writer) = group.next_column()? {
            writer.typed::<Int64Type>().write_batch(&indices, None, None)?;
            writer.close()?;
        }
        for column in &self.columns {
            let values = rows.iter().map(|row| row.values.as_ref().ok().and_then(|values| values.get(&column.name)));
            match column.kind {
                ColumnKind::Numbers { .. } => write_lists(&mut group, values)?,
                ColumnKind::Labels => {
                    write_texts(&mut group, values.map(|value| value.map(|value| value_json(value).to_string())))?;
                }
            }
        }
        write_texts(&mut group, rows.iter().map(|row| row.values.as_ref().err().cloned()))?;
        group.close().map(drop)
    }
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, row: &ResultRow, _: &[Column]) -> io::Result<()> {
        self.rows.push(row.clone());
        match self.rows.len() < PARQUET_GROUP_ROWS {
            true => Ok(()),
            false => self.write_group().map_err(io::Error::other),
        }
    }

    /// A part without its index cannot be continued, so that there is nothing to gain.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: u64) -> io::Result<()> {
        self.write_group().map_err(io::Error::other)?;
        self.file.into_inner().map_err(io::Error::other)?.sync_data()
    }
}

fn schema(columns: &[Column]) -> Result<TypePtr> {
    let mut fields = vec![leaf("row", Physical::INT64, Repetition::REQUIRED)?];
    for Column { name, kind } in columns {
        fields.push(match kind {
            ColumnKind::Labels => text(name)?,
            ColumnKind::Numbers { .. } => {
                let element = leaf("element", Physical::FLOAT, Repetition::REQUIRED)?;
                let list = Type::group_type_builder("list").with_repetition(Repetition::REPEATED);
                let list = Arc::new(list.with_fields(vec![element]).build()?);
                let outer = Type::group_type_builder(name).with_repetition(Repetition::OPTIONAL);
                let outer = outer.with_converted_type(ConvertedType::LIST).with_logical_type(Some(LogicalType::List));
                Arc::new(outer.with_fields(vec![list]).build()?)
            }
        });
    }
    fields.push(text("error")?);
    Ok(Arc::new(Type::group_type_builder("results").with_fields(fields).build()?))
}

fn leaf(name: &str, physical: Physical, repetition: Repetition) -> Result<TypePtr> {
    Ok(Arc::new(Type::primitive_type_builder(name, physical).with_repetition(repetition).build()?))
}

fn text(name: &str) -> Result<TypePtr> {
    let text = Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_repetition(Repetition::OPTIONAL);
    let text = text.with_converted_type(ConvertedType::UTF8).with_logical_type(Some(LogicalType::String));
    Ok(Arc::new(text.build()?))
}

fn write_lists<'a>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: impl Iterator<Item = Option<&'a OutputValue>>,
) -> Result<()> {
    let (mut floats, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let before = floats.len();
        let missing = match row {
            Some(OutputValue::Numbers(array)) => {
                match array.data() {
                    Elements::F32(data) => floats.extend_from_slice(data),
                    Elements::I32(data) => floats.extend(data.iter().map(|&number| number as f32)),
                }
                EMPTY_LIST
            }
            _ => NO_LIST,
        };
        let count = floats.len() - before;
        definitions.extend(if count == 0 { vec![missing] } else { vec![ELEMENT; count] });
        repetitions.extend((0..count.max(1)).map(|at| i16::from(at > 0)));
    }
    if let Some(mut writer) = group.next_column()? {
        writer.typed::<FloatType>().write_batch(&floats, Some(&definitions), Some(&repetitions))?;
        writer.close()?;
    }
    Ok(())
}

fn write_texts(
    group: &mut SerializedRowGroupWriter<'_, File>,
    rows: impl Iterator<Item = Option<String>>,
) -> Result<()> {
    let (mut texts, mut definitions) = (Vec::new(), Vec::new());
    for row in rows {
        definitions.push(i16::from(row.is_some()));
        texts.extend(row.map(|text| ByteArray::from(text.into_bytes())));
    }
    if let Some(mut writer) = group.next_column()? {
        writer.typed::<ByteArrayType>().write_batch(&texts, Some(&definitions), None)?;
        writer.close()?;
    }
    Ok(())
}
