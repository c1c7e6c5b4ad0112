//! Pixels: a float input of four dimensions, one of which has three channels.

use std::collections::BTreeMap;

use shoal_dataset::{Filter, Format, ImageInput, Input, Layout, Resize, Value};
use shoal_onnx::{Dimension, Element, Port};

use super::{Detected, Probe, row_dimensions, shape};
use crate::{
    error::CliError,
    rows::{RowsArgs, RowsError, args::LayoutArg},
};

const CHANNELS: Dimension = Dimension::Fixed(3);

/// Whether rows are images: they are files of images, or their size is given.
pub(super) fn is_image(port: &Port, args: &RowsArgs, probe: &Probe) -> bool {
    let [_, _, _] = row_dimensions(port) else { return false };
    let is_float = port.element.is_some_and(Element::is_float);
    is_float
        && (probe.format == Format::Images || args.images.image_size.is_some() || named_file(args, probe).is_some())
}

pub(super) fn detect(port: &Port, args: &RowsArgs, probe: &Probe) -> Result<Detected, CliError> {
    let dimensions = row_dimensions(port);
    let layout = match args.images.layout {
        Some(LayoutArg::Nchw) => Layout::ChannelsFirst,
        Some(LayoutArg::Nhwc) => Layout::ChannelsLast,
        None if dimensions.last() == Some(&CHANNELS) && dimensions.first() != Some(&CHANNELS) => Layout::ChannelsLast,
        None => Layout::ChannelsFirst,
    };
    let (height, width) = match layout {
        Layout::ChannelsFirst => (&dimensions[1], &dimensions[2]),
        Layout::ChannelsLast => (&dimensions[0], &dimensions[1]),
    };
    let (width, height) = match (args.images.image_size, width, height) {
        (Some(given), ..) => given,
        (None, Dimension::Fixed(width), Dimension::Fixed(height)) => (*width, *height),
        _ => return Err(RowsError::NoImageSize { input: port.name.clone(), shape: shape(port) }.into()),
    };
    // The margin that classifiers are evaluated with: 256 pixels for a middle of 224.
    let resize = args.images.resize.unwrap_or_else(|| width.max(height).saturating_mul(8) / 7);
    let image = ImageInput {
        input: port.name.clone(),
        column: named_file(args, probe).unwrap_or_else(|| "image".to_owned()),
        folder: probe.folder.clone(),
        resize: Some(Resize::ShortSide(resize)),
        filter: if args.images.bicubic { Filter::Bicubic } else { Filter::Bilinear },
        crop: Some((width, height)),
        scale: 1.0 / 255.0,
        mean: channels("--mean", &args.images.mean)?,
        std: channels("--std", &args.images.std)?,
        layout,
    };
    let row = match layout {
        Layout::ChannelsFirst => vec![3, height, width],
        Layout::ChannelsLast => vec![height, width, 3],
    };
    let description = format!(
        "images scaled to {resize}, cut to {width}x{height}, mean {:?}, standard deviation {:?}",
        image.mean, image.std
    );
    let typical = BTreeMap::from([(port.name.clone(), row)]);
    Ok(Detected { inputs: vec![Input::Image(image)], typical, batch: 0, description })
}

fn channels(flag: &'static str, values: &[f32]) -> Result<[f32; 3], RowsError> {
    values.try_into().map_err(|_| RowsError::Values { flag, got: values.len(), expected: 3 })
}

/// Column of images, or of texts that are paths of images.
fn named_file(args: &RowsArgs, probe: &Probe) -> Option<String> {
    let is_file = |value: &Value| matches!(value, Value::Image(_) | Value::Text(_));
    if let Some(column) = &args.text.column {
        return probe.row.get(column).is_some_and(is_file).then(|| column.clone());
    }
    let is_image = |(_, value): &&(String, Value)| matches!(value, Value::Image(_));
    probe.row.fields.iter().find(is_image).map(|(name, _)| name.clone())
}
