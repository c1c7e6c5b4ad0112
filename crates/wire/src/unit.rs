//! Work units checked once: a [`CheckedUnit`] has ids of the right length, a known class and program, and sane sizes.

use prost::Message;

use crate::{
    ids::{BlobId, IdError, JobId, UnitId},
    limits::{MAX_BATCH, MAX_LOCAL_STEPS, MAX_SHARD_ROWS},
    proto::{Class, Unit, unit::Program},
};

/// Why bytes are not a work unit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UnitError {
    /// Not a protobuf `Unit`.
    #[error("bytes are not a unit: {0}")]
    Malformed(String),
    /// The bytes are not the canonical encoding, so two hashes could name one unit.
    #[error("unit re-encodes to {canonical} bytes, got {got}")]
    NotCanonical {
        /// Bytes of the canonical encoding.
        canonical: usize,
        /// Bytes received.
        got: usize,
    },
    /// A field that should be an id is not.
    #[error("unit field {field}: {source}")]
    Id {
        /// Field name in the schema.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// A determinism class this build does not know.
    #[error("unit class {0} is unknown")]
    UnknownClass(i32),
    /// No program.
    #[error("unit has no program")]
    NoProgram,
    /// A program that its class does not allow.
    #[error("a {class:?} unit must not run {program}")]
    ClassForbidsProgram {
        /// The unit's class.
        class: Class,
        /// The program's name.
        program: &'static str,
    },
    /// A number out of range.
    #[error("unit field {field} is {value}, allowed is {min} to {max}")]
    OutOfRange {
        /// Field name in the schema.
        field: &'static str,
        /// Value received.
        value: f64,
        /// Least allowed.
        min: f64,
        /// Most allowed.
        max: f64,
    },
}

/// A unit that may be leased or computed.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedUnit {
    /// Hash of the unit's bytes.
    pub id: UnitId,
    /// The job it belongs to.
    pub job: JobId,
    /// Determinism class.
    pub class: Class,
    /// Blob of the graph that one step runs.
    pub graph: BlobId,
    /// Blob of the round's parameters.
    pub parameters: BlobId,
    /// Blob of the data shard.
    pub data: BlobId,
    /// What to run.
    pub program: Program,
    /// The message itself.
    pub message: Unit,
}

impl CheckedUnit {
    /// Decodes and checks a unit's bytes as stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnitError> {
        let message = Unit::decode(bytes).map_err(|error| UnitError::Malformed(error.to_string()))?;
        let canonical = message.encode_to_vec();
        if canonical != bytes {
            return Err(UnitError::NotCanonical { canonical: canonical.len(), got: bytes.len() });
        }
        Self::check(message, UnitId::of(bytes))
    }

    /// Checks a unit made here and gives it its id.
    pub fn new(message: Unit) -> Result<Self, UnitError> {
        let id = UnitId::of(&message.encode_to_vec());
        Self::check(message, id)
    }

    /// The bytes as stored: those that the id hashes.
    pub fn encode(&self) -> Vec<u8> {
        self.message.encode_to_vec()
    }

    fn check(message: Unit, id: UnitId) -> Result<Self, UnitError> {
        let id_error = |field| move |source| UnitError::Id { field, source };
        let class = match Class::try_from(message.class) {
            Ok(Class::Unspecified) | Err(_) => return Err(UnitError::UnknownClass(message.class)),
            Ok(class) => class,
        };
        let program = message.program.ok_or(UnitError::NoProgram)?;
        check_program(class, &program)?;
        Ok(Self {
            id,
            job: JobId::try_from(&message.job).map_err(id_error("job"))?,
            class,
            graph: BlobId::try_from(&message.graph).map_err(id_error("graph"))?,
            parameters: BlobId::try_from(&message.parameters).map_err(id_error("parameters"))?,
            data: BlobId::try_from(&message.data).map_err(id_error("data"))?,
            program,
            message,
        })
    }
}

fn check_program(class: Class, program: &Program) -> Result<(), UnitError> {
    match program {
        Program::LocalTraining(training) => {
            if class != Class::Exact {
                // Several steps on floats that differ drift apart; only one gradient stays within a bound.
                return Err(UnitError::ClassForbidsProgram { class, program: "local training" });
            }
            in_range("steps", f64::from(training.steps), 1.0, f64::from(MAX_LOCAL_STEPS))?;
            in_range("batch", f64::from(training.batch), 1.0, f64::from(MAX_BATCH))?;
            in_range("learning_rate", f64::from(training.learning_rate), 0.0, 1e6)?;
            in_range("momentum", f64::from(training.momentum), 0.0, 1.0)
        }
        Program::Map(map) => {
            if class != Class::Exact {
                return Err(UnitError::ClassForbidsProgram { class, program: "map" });
            }
            in_range("batch", f64::from(map.batch), 1.0, f64::from(MAX_BATCH))?;
            in_range("rows", f64::from(map.rows), 1.0, f64::from(MAX_SHARD_ROWS))
        }
        Program::Gradient(gradient) => in_range("batch", f64::from(gradient.batch), 1.0, f64::from(MAX_BATCH)),
    }
}

fn in_range(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), UnitError> {
    // Written so that NaN is refused.
    if value >= min && value <= max { Ok(()) } else { Err(UnitError::OutOfRange { field, value, min, max }) }
}
