//! The coordinator's notion of time: milliseconds on the driver's monotonic clock, from any origin.

use std::fmt;

/// An instant on the driver's monotonic clock, milliseconds since an origin the driver chose. Never wall-clock time:
/// a lease must not end because somebody set the date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeMs(pub u64);

impl TimeMs {
    /// The instant `duration_ms` later; saturates, so that a duration from outside cannot overflow.
    #[must_use]
    pub fn after(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }
}

impl fmt::Display for TimeMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
