//! Where windows lie over an image.

use super::too_large;
use crate::{error::GraphError, limits::MAX_WINDOW};

/// How windows lie along one axis of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Axis2d {
    /// Step between windows, at least 1.
    pub stride: u32,
    /// Step between elements of a window, at least 1.
    pub dilation: u32,
    /// Elements before the image.
    pub low: u32,
    /// Elements after the image.
    pub high: u32,
}

impl Axis2d {
    /// Every place, without padding.
    pub const DENSE: Self = Self { stride: 1, dilation: 1, low: 0, high: 0 };

    /// Extent of a window of `kernel` elements.
    pub fn extent(self, kernel: u32) -> u64 {
        u64::from(kernel - 1) * u64::from(self.dilation) + 1
    }

    /// Number of windows of `kernel` elements over an input of that extent; `None` where none fits.
    pub fn output(self, input: u32, kernel: u32) -> Option<u32> {
        let padded = u64::from(input) + u64::from(self.low) + u64::from(self.high);
        let room = padded.checked_sub(self.extent(kernel))?;
        u32::try_from(room / u64::from(self.stride) + 1).ok()
    }

    fn check(self) -> Result<(), GraphError> {
        if self.stride == 0 || self.dilation == 0 {
            return Err(GraphError::Zero { what: "a stride or dilation" });
        }
        match self.stride.max(self.dilation).max(self.low).max(self.high) {
            n if n > MAX_WINDOW => Err(too_large("stride, dilation or padding", n.into(), MAX_WINDOW.into())),
            _ => Ok(()),
        }
    }
}

/// How windows lie over an image \[…, height, width\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window2d {
    /// Down the rows.
    pub height: Axis2d,
    /// Along a row.
    pub width: Axis2d,
}

impl Window2d {
    /// Every place, without padding.
    pub const DENSE: Self = Self { height: Axis2d::DENSE, width: Axis2d::DENSE };

    /// One stride and one padding for all sides.
    pub fn square(stride: u32, padding: u32) -> Self {
        let axis = Axis2d { stride, dilation: 1, low: padding, high: padding };
        Self { height: axis, width: axis }
    }

    /// Checks all numbers and the kernel's extents against the limits.
    pub(crate) fn check(self, kernel_height: u32, kernel_width: u32) -> Result<(), GraphError> {
        self.height.check()?;
        self.width.check()?;
        for kernel in [kernel_height, kernel_width] {
            match kernel {
                0 => return Err(GraphError::Zero { what: "a kernel" }),
                n if n > MAX_WINDOW => return Err(too_large("kernel", n.into(), MAX_WINDOW.into())),
                _ => {}
            }
        }
        Ok(())
    }

    /// Height and width of the result over an image of that height and width; `None` where no window fits.
    pub fn output(self, image: [u32; 2], kernel: [u32; 2]) -> Option<[u32; 2]> {
        Some([self.height.output(image[0], kernel[0])?, self.width.output(image[1], kernel[1])?])
    }
}
