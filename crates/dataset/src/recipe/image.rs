//! Images as pixels, channels first, as torchvision's transforms make them.
//!
//! Resizing is PIL's, that is, with antialiasing: the filter's support grows with the reduction. `Bilinear` is its
//! triangle, `Bicubic` its cubic with a = −0.5. Rounding may differ from PIL's by one level of 255. Alpha is dropped,
//! grey becomes three equal channels, the orientation of EXIF is not applied: as `Image.open(…).convert("RGB")`.

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};

use super::{column, refused, wrong_kind};
use crate::limits::{MAX_IMAGE_FILE_BYTES, MAX_IMAGE_PIXELS};
use crate::{Array, DatasetError, Elements, Reason, Row, Value};

/// A column of images as `f32[3, height, width]` or `f32[height, width, 3]`, red first: `(level × scale − mean) / std`.
#[derive(Clone, Debug)]
pub struct ImageInput {
    /// Input of the model.
    pub input: String,
    /// Column of images, or of texts that are their paths.
    pub column: String,
    /// What such paths are relative to.
    pub folder: PathBuf,
    /// What is done first.
    pub resize: Option<Resize>,
    /// How.
    pub filter: Filter,
    /// Width and height that are then cut out of the middle; black is added where the image is smaller.
    pub crop: Option<(u32, u32)>,
    /// What a level, from 0 to 255, is multiplied by: 1/255 for most models.
    pub scale: f32,
    /// Subtracted, by channel.
    pub mean: [f32; 3],
    /// Divided by, by channel.
    pub std: [f32; 3],
    /// Where the channels are.
    pub layout: Layout,
}

/// Order of an image's dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Channels, height, width, as PyTorch's models take.
    #[default]
    ChannelsFirst,
    /// Height, width, channels, as TensorFlow's models take.
    ChannelsLast,
}

/// The size that an image is resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side gets this length, the longer one in proportion, rounded down.
    ShortSide(u32),
    /// Width and height, whatever the proportion was.
    Exact(u32, u32),
}

/// What a resized pixel is weighted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Linear in the distance.
    #[default]
    Bilinear,
    /// Cubic in the distance, as CLIP's models take.
    Bicubic,
}

impl ImageInput {
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        let sides = match self.resize {
            Some(Resize::ShortSide(side)) => [side, side],
            Some(Resize::Exact(width, height)) => [width, height],
            None => [1, 1],
        };
        for [width, height] in [sides, self.crop.map_or([1, 1], |(width, height)| [width, height])] {
            match u64::from(width) * u64::from(height) {
                0 => return Err(refused(&self.input, "has no pixels")),
                pixels if pixels > MAX_IMAGE_PIXELS => {
                    let limit = MAX_IMAGE_PIXELS;
                    return Err(DatasetError::Limit { what: "pixels of an input", got: pixels, limit });
                }
                _ => {}
            }
        }
        match self.std.iter().all(|&std| std != 0.0) {
            true => Ok(()),
            false => Err(refused(&self.input, "is divided by a standard deviation of zero")),
        }
    }

    pub(super) fn prepare(&self, row: &Row) -> Result<Array, Reason> {
        let path = match column(row, &self.column)? {
            Value::Image(path) => path.clone(),
            Value::Text(path) => self.folder.join(path),
            other => return Err(wrong_kind(&self.column, "an image", other)),
        };
        let image = self.resized(self.decode(&path)?)?;
        Ok(self.normalised(&image))
    }

    fn decode(&self, path: &Path) -> Result<RgbImage, Reason> {
        let failed = |detail: String| Reason::Image { column: self.column.clone(), path: path.to_owned(), detail };
        let bytes = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        self.bounded("bytes of an image", bytes, MAX_IMAGE_FILE_BYTES)?;
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        let reader = reader.map_err(|error| failed(error.to_string()))?;
        let decoder = reader.into_decoder().map_err(|error| failed(error.to_string()))?;
        let (width, height) = decoder.dimensions();
        self.bounded("pixels of an image", u64::from(width) * u64::from(height), MAX_IMAGE_PIXELS)?;
        Ok(DynamicImage::from_decoder(decoder).map_err(|error| failed(error.to_string()))?.into_rgb8())
    }

    fn resized(&self, image: RgbImage) -> Result<RgbImage, Reason> {
        let (width, height) = image.dimensions();
        let in_proportion = |side: u32, long: u32, short: u32| u64::from(side) * u64::from(long) / u64::from(short);
        let (new_width, new_height) = match self.resize {
            None => return Ok(image),
            Some(Resize::Exact(width, height)) => (width.into(), height.into()),
            Some(Resize::ShortSide(side)) if width <= height => (side.into(), in_proportion(side, height, width)),
            Some(Resize::ShortSide(side)) => (in_proportion(side, width, height), side.into()),
        };
        self.bounded("pixels of a resized image", new_width.saturating_mul(new_height), MAX_IMAGE_PIXELS)?;
        if (new_width, new_height) == (width.into(), height.into()) {
            return Ok(image);
        }
        let filter = match self.filter {
            Filter::Bilinear => FilterType::Triangle,
            Filter::Bicubic => FilterType::CatmullRom,
        };
        Ok(imageops::resize(&image, new_width as u32, new_height as u32, filter))
    }

    /// Cuts out the middle and normalises it.
    fn normalised(&self, image: &RgbImage) -> Array {
        let (width, height) = self.crop.unwrap_or(image.dimensions());
        let left = middle(image.width(), width);
        let top = middle(image.height(), height);
        let level = |channel: usize, y: u32, x: u32| {
            let inside = u32::try_from(i64::from(x) + left).ok().zip(u32::try_from(i64::from(y) + top).ok());
            let pixel = inside.and_then(|(x, y)| image.get_pixel_checked(x, y));
            let level = pixel.map_or(0, |pixel| pixel.0[channel]);
            (f32::from(level) * self.scale - self.mean[channel]) / self.std[channel]
        };
        let pixels = move || (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)));
        let (shape, data) = match self.layout {
            Layout::ChannelsFirst => {
                let planes = (0..3).flat_map(|channel| pixels().map(move |(y, x)| (channel, y, x)));
                ([3, height, width], planes.map(|(channel, y, x)| level(channel, y, x)).collect())
            }
            Layout::ChannelsLast => {
                let all = pixels().flat_map(|(y, x)| (0..3).map(move |channel| (channel, y, x)));
                ([height, width, 3], all.map(|(channel, y, x)| level(channel, y, x)).collect())
            }
        };
        Array::new(shape.to_vec(), Elements::F32(data)).expect("three channels of width times height")
    }

    fn bounded(&self, what: &'static str, got: u64, limit: u64) -> Result<(), Reason> {
        match got <= limit {
            true => Ok(()),
            false => Err(Reason::ColumnLimit { column: self.column.clone(), what, got, limit }),
        }
    }
}

/// Where the middle begins, as torchvision's `CenterCrop` has it: halves are rounded to even where something is cut off,
/// and towards the far end where something is added.
fn middle(extent: u32, wanted: u32) -> i64 {
    let spare = i64::from(extent) - i64::from(wanted);
    if spare < 0 { -(-spare / 2) } else { (spare as f64 / 2.0).round_ties_even() as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_torchvisions() {
        let middles = [(256, 224), (5, 2), (7, 2), (4, 4), (2, 5)].map(|(extent, wanted)| middle(extent, wanted));
        assert_eq!(middles, [16, 2, 2, 0, -1]);
    }
}
