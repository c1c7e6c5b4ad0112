//! Tensors in memory and as safetensors bytes. The bytes are canonical (f32, i32, i8, u8 as the safetensors crate lays
//! them out, names sorted within a type, no metadata), so that equal tensors have equal bytes and the hash of an output is
//! the hash of its file.

use std::{borrow::Cow, collections::BTreeMap};

use safetensors::{Dtype, SafeTensors, View, tensor::serialize};
use shoal_graph::{DType, TensorType};

use crate::error::ComputeError;

/// Bytes of a safetensors header that are read: a thousand tensors need about 100 KiB.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Unsigned bytes.
    U8(Vec<u8>),
}

/// Runs one expression on the elements of whichever type.
macro_rules! with_elements {
    ($data:expr, $elements:ident => $body:expr) => {
        match $data {
            Data::F32($elements) => $body,
            Data::I32($elements) => $body,
            Data::I8($elements) => $body,
            Data::U8($elements) => $body,
        }
    };
}
/// Type of an element.
pub(crate) trait Element: Copy + Default + 'static {
    /// Elements as data.
    fn data(elements: Vec<Self>) -> Data;
    /// Elements of data of this type.
    fn elements(data: &Data) -> Option<&[Self]>;
}

macro_rules! element {
    ($element:ty, $variant:ident) => {
        impl Element for $element {
            fn data(elements: Vec<Self>) -> Data {
                Data::$variant(elements)
            }

            fn elements(data: &Data) -> Option<&[Self]> {
                if let Data::$variant(elements) = data { Some(elements) } else { None }
            }
        }
    };
}

element!(f32, F32);
element!(i32, I32);
element!(i8, I8);
element!(u8, U8);

impl Data {
    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::I32(_) => DType::I32,
            Data::I8(_) => DType::I8,
            Data::U8(_) => DType::U8,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        with_elements!(self, elements => elements.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements as little-endian bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        with_elements!(self, elements => elements.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// Elements of that type from little-endian bytes; what does not fill an element is dropped.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Self {
        let words = bytes.as_chunks::<4>().0;
        match dtype {
            DType::F32 => Data::F32(words.iter().map(|word| f32::from_le_bytes(*word)).collect()),
            DType::I32 => Data::I32(words.iter().map(|word| i32::from_le_bytes(*word)).collect()),
            DType::I8 => Data::I8(bytes.iter().map(|byte| byte.cast_signed()).collect()),
            DType::U8 => Data::U8(bytes.to_vec()),
        }
    }
}

/// A tensor. Its data has as many elements as its shape says.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<u32>,
    data: Data,
}

impl Tensor {
    /// A tensor of whichever type.
    ///
    /// # Panics
    /// When the element count is not the shape's product: that is a bug of the caller.
    pub fn new(shape: impl Into<Vec<u32>>, data: Data) -> Self {
        let tensor = Self { shape: shape.into(), data };
        tensor.assert_len();
        tensor
    }

    /// An f32 tensor.
    ///
    /// # Panics
    /// When the element count is not the shape's product: that is a bug of the caller.
    pub fn f32(shape: impl Into<Vec<u32>>, data: Vec<f32>) -> Self {
        Self::new(shape, Data::F32(data))
    }

    /// An i32 tensor.
    ///
    /// # Panics
    /// As [`Tensor::f32`].
    pub fn i32(shape: impl Into<Vec<u32>>, data: Vec<i32>) -> Self {
        Self::new(shape, Data::I32(data))
    }

    /// Zeros.
    pub fn zeros(shape: impl Into<Vec<u32>>) -> Self {
        let shape = shape.into();
        let len = shape.iter().map(|dim| *dim as usize).product();
        Self { shape, data: Data::F32(vec![0.0; len]) }
    }

    /// Dimensions; empty for a scalar.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// Elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Element type and shape.
    pub fn tensor_type(&self) -> TensorType {
        TensorType { dtype: self.data.dtype(), shape: self.shape.clone() }
    }

    /// Elements of an f32 tensor.
    pub fn as_f32(&self) -> Option<&[f32]> {
        f32::elements(&self.data)
    }

    /// Elements of an i32 tensor.
    pub fn as_i32(&self) -> Option<&[i32]> {
        i32::elements(&self.data)
    }

    /// Takes the elements out.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// The same tensor with the bits `0x7fc0_0000` for every NaN: which bits an operation gives a NaN belongs to the machine.
    pub(crate) fn with_one_nan(mut self) -> Self {
        if let Data::F32(elements) = &mut self.data {
            elements.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = f32::from_bits(0x7fc0_0000));
        }
        self
    }

    /// Copies the given rows (along the first dimension) into a new tensor.
    pub fn gather_rows(&self, rows: impl ExactSizeIterator<Item = usize>) -> Self {
        let mut shape = self.shape.clone();
        shape[0] = rows.len() as u32;
        let width: usize = self.shape[1..].iter().map(|dim| *dim as usize).product();
        let data = with_elements!(&self.data, elements => Element::data(gather(elements, width, rows)));
        Self { shape, data }
    }

    /// Tensors of one type one under the other, cut to the given number of rows. None of them is a scalar.
    pub fn join_rows(parts: &[&Self], rows: u32) -> Self {
        fn join<T: Element>(parts: &[&Tensor], len: usize) -> Data {
            let mut joined = Vec::with_capacity(len);
            for part in parts {
                let elements = T::elements(&part.data).expect("all parts have one type");
                joined.extend_from_slice(&elements[..elements.len().min(len - joined.len())]);
            }
            T::data(joined)
        }
        let mut shape = parts[0].shape.clone();
        shape[0] = rows;
        let len = shape.iter().map(|dim| *dim as usize).product();
        let data = match parts[0].data.dtype() {
            DType::F32 => join::<f32>(parts, len),
            DType::I32 => join::<i32>(parts, len),
            DType::I8 => join::<i8>(parts, len),
            DType::U8 => join::<u8>(parts, len),
        };
        Self::new(shape, data)
    }

    fn assert_len(&self) {
        let len = self.data.len();
        let expected: usize = self.shape.iter().map(|dim| *dim as usize).product();
        assert_eq!(len, expected, "a tensor of shape {:?} has {expected} elements", self.shape);
    }
}

fn gather<T: Copy>(data: &[T], width: usize, rows: impl ExactSizeIterator<Item = usize>) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.len() * width);
    for row in rows {
        out.extend_from_slice(&data[row * width..(row + 1) * width]);
    }
    out
}

/// Tensors by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Takes the tensor of that name out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.0.remove(name)
    }

    /// Names and tensors in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads safetensors bytes from anybody.
    ///
    /// # Errors
    /// [`ComputeError::BadTensors`] for anything but a well-formed file of f32, i32, i8 and u8 tensors with dimensions ≥ 1.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ComputeError> {
        let bad = |reason: String| ComputeError::BadTensors { bytes: bytes.len(), reason };
        let Some((header_len, _)) = bytes.split_first_chunk::<8>() else {
            return Err(bad("shorter than the header's length".into()));
        };
        let header_len = u64::from_le_bytes(*header_len);
        if header_len > MAX_HEADER_BYTES {
            return Err(bad(format!("the header has {header_len} bytes, the limit is {MAX_HEADER_BYTES}")));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| bad(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let tensor = read(view.dtype(), view.shape(), view.data())
                .ok_or_else(|| bad(format!("tensor {name:?} is {} {:?}", view.dtype(), view.shape())))?;
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Self(tensors))
    }

    /// Canonical safetensors bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serialize(self.0.iter().map(|(name, tensor)| (name, Stored::new(tensor))), None)
            .expect("names and shapes held in memory fit a safetensors header")
    }

    /// Length of [`Self::to_bytes`] of tensors of these types.
    pub(crate) fn len_of<'a>(types: impl Iterator<Item = (&'a str, TensorType)>) -> u64 {
        let types: Vec<(&str, Absent)> = types.map(|(name, tensor_type)| (name, Absent::new(&tensor_type))).collect();
        let data: usize = types.iter().map(|(_, absent)| absent.len).sum();
        let header = serialize(types, None).expect("names and shapes held in memory fit a safetensors header");
        (header.len() + data) as u64
    }

    /// BLAKE3 of [`Self::to_bytes`].
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }

    /// The first NaN or infinity, as an error.
    pub(crate) fn check_finite(&self) -> Result<(), ComputeError> {
        for (name, tensor) in &self.0 {
            let bad = tensor.as_f32().and_then(|data| data.iter().position(|x| !x.is_finite()));
            if let Some(index) = bad {
                return Err(ComputeError::NonFinite { name: name.clone(), index });
            }
        }
        Ok(())
    }
}

impl FromIterator<(String, Tensor)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl IntoIterator for Tensors {
    type Item = (String, Tensor);
    type IntoIter = std::collections::btree_map::IntoIter<String, Tensor>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn read(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Option<Tensor> {
    let shape: Vec<u32> = shape.iter().map(|dim| u32::try_from(*dim).ok()).collect::<Option<_>>()?;
    let dtype = match dtype {
        Dtype::F32 => DType::F32,
        Dtype::I32 => DType::I32,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        _ => return None,
    };
    let data = Data::from_bytes(dtype, bytes);
    let tensor = Tensor { shape, data };
    tensor.tensor_type().check().ok()?;
    Some(tensor)
}

fn stored_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::I32 => Dtype::I32,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
    }
}

/// A tensor whose data are left out: what is written of it is its part of the header.
struct Absent {
    dtype: Dtype,
    shape: Vec<usize>,
    len: usize,
}

impl Absent {
    fn new(tensor_type: &TensorType) -> Self {
        let shape: Vec<usize> = tensor_type.shape.iter().map(|dim| *dim as usize).collect();
        let len = shape.iter().product::<usize>() * tensor_type.dtype.bytes() as usize;
        Self { dtype: stored_dtype(tensor_type.dtype), shape, len }
    }
}

impl View for Absent {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }

    fn data_len(&self) -> usize {
        self.len
    }
}

/// A tensor as the safetensors crate wants to see it.
struct Stored<'a> {
    shape: Vec<usize>,
    tensor: &'a Tensor,
}

impl<'a> Stored<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        Self { shape: tensor.shape.iter().map(|dim| *dim as usize).collect(), tensor }
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        stored_dtype(self.tensor.data.dtype())
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.tensor.data.to_bytes().into()
    }

    fn data_len(&self) -> usize {
        self.tensor.data.len() * self.tensor.data.dtype().bytes() as usize
    }
}
