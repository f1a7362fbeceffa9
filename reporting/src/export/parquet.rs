//! Parquet: typed columns, in row groups of bounded size, so that memory is bounded.
//!
//! Ids and counts are INT64, amounts DECIMAL(18, 2), times TIMESTAMP (milliseconds, UTC), everything else UTF-8 text; an empty
//! cell is null. The metadata of the file have the position and its time as `scrip.position` and `scrip.time`, and the position
//! after which the history begins as `scrip.history_after`.

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::Result;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type;

use super::columns::{About, Cell, Column, Kind, Table};
use super::error::ExportError;

/// The maximum number of rows in a group.
const GROUP_ROWS: usize = 1 << 16;

/// A group ends earlier when its texts reach this size, in bytes.
const GROUP_TEXT_BYTES: usize = 32 << 20;

pub(super) struct Parquet<W: Write + Send> {
    out: SerializedFileWriter<W>,
    columns: Vec<Values>,
    rows: usize,
    text_bytes: usize,
}

/// The values of a column in the current group.
struct Values {
    /// 1 for a value, 0 for null.
    levels: Vec<i16>,
    of: ValuesOf,
}

enum ValuesOf {
    Numbers(Vec<i64>),
    /// The texts one after the other, and where each ends.
    Texts {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
}

impl<W: Write + Send> Parquet<W> {
    pub(super) fn begin(sink: W, columns: &[Column], about: &About) -> Result<Parquet<W>> {
        let types = columns.iter().map(|column| Ok(Arc::new(type_of(column)?))).collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder(about.noun).with_fields(types).build()?;
        let metadata = [
            ("scrip.position", about.position.clone()),
            ("scrip.history_after", about.history_after.clone()),
            ("scrip.time", about.time.to_string()),
            ("scrip.organisation", about.organisation.clone()),
            ("scrip.currency", about.currency.clone()),
        ];
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // No statistics or offsets per page: they would grow with the file.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(metadata.map(|(key, value)| KeyValue::new(key.into(), value)).into()));
        let out = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties.build()))?;
        let columns = columns.iter().map(|column| Values { levels: Vec::new(), of: ValuesOf::new(column.kind) }).collect();
        Ok(Parquet { out, columns, rows: 0, text_bytes: 0 })
    }

    fn end_group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.out.next_row_group()?;
        for values in &mut self.columns {
            let mut column = group.next_column()?.expect("the schema was made of these columns");
            match &mut values.of {
                ValuesOf::Numbers(numbers) => {
                    column.typed::<Int64Type>().write_batch(numbers, Some(&values.levels), None)?;
                    numbers.clear();
                }
                ValuesOf::Texts { bytes, ends } => {
                    let whole = ByteArray::from(std::mem::take(bytes));
                    let starts = std::iter::once(0).chain(ends.iter().copied());
                    let texts: Vec<_> = starts.zip(ends.iter()).map(|(start, end)| whole.slice(start, end - start)).collect();
                    column.typed::<ByteArrayType>().write_batch(&texts, Some(&values.levels), None)?;
                    ends.clear();
                }
            }
            column.close()?;
            values.levels.clear();
        }
        group.close()?;
        (self.rows, self.text_bytes) = (0, 0);
        Ok(())
    }
}

impl<W: Write + Send> Table for Parquet<W> {
    fn row(&mut self, cells: &[Cell<'_>]) -> std::result::Result<(), ExportError> {
        for (values, cell) in self.columns.iter_mut().zip(cells) {
            values.levels.push(!matches!(cell, Cell::Blank) as i16);
            match (*cell, &mut values.of) {
                (Cell::Blank, _) => {}
                (Cell::Text(text), ValuesOf::Texts { bytes, ends }) => {
                    bytes.extend_from_slice(text.as_bytes());
                    ends.push(bytes.len());
                    self.text_bytes += text.len();
                }
                (
                    Cell::Id(number) | Cell::Count(number) | Cell::Amount(number) | Cell::Time(number),
                    ValuesOf::Numbers(numbers),
                ) => numbers.push(number),
                (Cell::Text(_), ValuesOf::Numbers(_))
                | (Cell::Id(_) | Cell::Count(_) | Cell::Amount(_) | Cell::Time(_), ValuesOf::Texts { .. }) => {
                    unreachable!("a cell is of its column's kind")
                }
            }
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS || self.text_bytes >= GROUP_TEXT_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> std::result::Result<(), ExportError> {
        self.end_group()?;
        self.out.finish()?;
        Ok(())
    }
}

impl ValuesOf {
    fn new(kind: Kind) -> ValuesOf {
        match kind {
            Kind::Text => ValuesOf::Texts { bytes: Vec::new(), ends: Vec::new() },
            Kind::Id | Kind::Count | Kind::Amount | Kind::Time => ValuesOf::Numbers(Vec::new()),
        }
    }
}

fn type_of(column: &Column) -> Result<Type> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Id | Kind::Count => (Physical::INT64, None),
        Kind::Amount => (Physical::INT64, Some(LogicalType::decimal(2, 18))),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
    };
    // For amounts, precision and scale must repeat those of the logical type.
    let (scale, precision) = if column.kind == Kind::Amount { (2, 18) } else { (-1, -1) };
    Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .with_scale(scale)
        .with_precision(precision)
        .build()
}
