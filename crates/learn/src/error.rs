//! What can be wrong with the contributions to a round.

/// Contributions that cannot be averaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// Nothing to average.
    #[error("a round without contributions has no average")]
    NoContributions,
    /// Above [`MAX_CONTRIBUTIONS`](crate::limits::MAX_CONTRIBUTIONS).
    #[error("{contributions} contributions, at most {limit} can be averaged")]
    TooManyContributions {
        /// Given.
        contributions: usize,
        /// Allowed.
        limit: usize,
    },
    /// Two contributions for one unit: something was counted twice.
    #[error("unit {index} contributes twice")]
    DuplicateIndex {
        /// The unit's index.
        index: u32,
    },
    /// A contribution with no samples behind it.
    #[error("unit {index} has no samples")]
    NoSamples {
        /// The unit's index.
        index: u32,
    },
    /// Above [`MAX_ROUND_SAMPLES`](crate::limits::MAX_ROUND_SAMPLES).
    #[error("the round has {samples} samples, at most {limit} can be averaged")]
    TooManySamples {
        /// In the round.
        samples: u64,
        /// Allowed.
        limit: u64,
    },
    /// A contribution has other tensors than the current parameters.
    #[error("unit {index} has {got} tensors, the parameters have {expected}")]
    TensorCount {
        /// The unit's index.
        index: u32,
        /// In the contribution.
        got: usize,
        /// In the parameters.
        expected: usize,
    },
    /// A tensor of the current parameters is not in a contribution.
    #[error("unit {index} lacks tensor {name:?}")]
    MissingTensor {
        /// The unit's index.
        index: u32,
        /// The tensor's name.
        name: String,
    },
    /// A tensor has another shape than in the current parameters.
    #[error("tensor {name:?} of unit {index} has shape {got:?}, expected {expected:?}")]
    Shape {
        /// The unit's index.
        index: u32,
        /// The tensor's name.
        name: String,
        /// In the contribution.
        got: Vec<u32>,
        /// In the parameters.
        expected: Vec<u32>,
    },
    /// A tensor whose number of values is not the product of its shape.
    #[error("tensor {name:?} of shape {shape:?} has {values} values")]
    Length {
        /// The tensor's name.
        name: String,
        /// Its shape.
        shape: Vec<u32>,
        /// Its number of values.
        values: usize,
    },
    /// Two tensors with one name.
    #[error("tensor {name:?} is there twice")]
    DuplicateTensor {
        /// The name.
        name: String,
    },
    /// NaN or infinity in a contribution; exact/1 has no such results.
    #[error("element {element} of tensor {name:?} of unit {index} is not finite")]
    NonFinite {
        /// The unit's index.
        index: u32,
        /// The tensor's name.
        name: String,
        /// Position in the tensor.
        element: usize,
    },
    /// NaN or infinity in the current parameters or in the average: finite numbers overflowed.
    #[error("element {element} of the averaged tensor {name:?} is not finite")]
    Overflow {
        /// The tensor's name.
        name: String,
        /// Position in the tensor.
        element: usize,
    },
    /// A learning rate that is not a finite number.
    #[error("learning rate of unit {index} is not finite")]
    LearningRate {
        /// The unit's index.
        index: u32,
    },
}
