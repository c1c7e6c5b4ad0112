//! Memory that runs of a graph use again, so that no run clears or maps pages that the one before it had.

use std::collections::BTreeMap;

use shoal_graph::DType;

use crate::{kernels::scratch::Scratch, tensor::Data};

/// Buffers by type and length. What is kept and what is in use stay together within the graph's peak: a buffer that does
/// not fit any more makes others leave.
pub(super) struct Buffers {
    floats: BTreeMap<usize, Vec<Vec<f32>>>,
    integers: BTreeMap<usize, Vec<Vec<i32>>>,
    room: Room,
    /// Packed operands of products.
    pub(super) scratch: Scratch,
}

/// Bytes that are kept and in use, and how many they may be.
#[derive(Default)]
struct Room {
    kept: u64,
    used: u64,
    limit: u64,
}

impl Buffers {
    /// Within so many bytes.
    pub(super) fn within(limit: u64, scratch: Scratch) -> Self {
        let (floats, integers) = Default::default();
        Self { floats, integers, room: Room { limit, ..Room::default() }, scratch }
    }

    /// A run begins with so many bytes of inputs.
    pub(super) fn begin(&mut self, input_bytes: u64) {
        self.room.used = input_bytes;
        self.make_room(0);
    }

    /// Floats with whatever is in them.
    pub(super) fn floats(&mut self, len: usize) -> Vec<f32> {
        if let Some(buffer) = take(&mut self.floats, &mut self.room, len) {
            return buffer;
        }
        self.make_room(bytes::<f32>(len));
        vec![0.0; len]
    }

    /// Integers with whatever is in them.
    pub(super) fn integers(&mut self, len: usize) -> Vec<i32> {
        if let Some(buffer) = take(&mut self.integers, &mut self.room, len) {
            return buffer;
        }
        self.make_room(bytes::<i32>(len));
        vec![0; len]
    }

    /// Lets kept buffers go, the longest first, until so many bytes more may be used, and counts these.
    fn make_room(&mut self, bytes_wanted: u64) {
        self.room.used += bytes_wanted;
        while self.room.kept > 0 && self.room.kept + self.room.used > self.room.limit {
            let longest = |len: Option<&usize>| len.copied().unwrap_or(0);
            let floats = longest(self.floats.keys().next_back());
            let freed = if floats >= longest(self.integers.keys().next_back()) {
                drop_longest(&mut self.floats)
            } else {
                drop_longest(&mut self.integers)
            };
            self.room.kept -= freed;
        }
    }

    /// Elements of a type with whatever is in them.
    pub(super) fn of(&mut self, dtype: DType, len: usize) -> Data {
        match dtype {
            DType::F32 => Data::F32(self.floats(len)),
            DType::I32 => Data::I32(self.integers(len)),
            DType::I8 => Data::I8(vec![0; len]),
            DType::U8 => Data::U8(vec![0; len]),
        }
    }

    /// Keeps a buffer for the next use, if there is room.
    pub(super) fn put(&mut self, data: Data) {
        match data {
            Data::F32(buffer) => keep(&mut self.floats, &mut self.room, buffer),
            Data::I32(buffer) => keep(&mut self.integers, &mut self.room, buffer),
            Data::I8(_) | Data::U8(_) => {}
        }
    }
}

type Kept<T> = BTreeMap<usize, Vec<Vec<T>>>;

fn bytes<T>(len: usize) -> u64 {
    (len * size_of::<T>()) as u64
}

fn take<T>(kept: &mut Kept<T>, room: &mut Room, len: usize) -> Option<Vec<T>> {
    let buffers = kept.get_mut(&len)?;
    let buffer = buffers.pop()?;
    if buffers.is_empty() {
        kept.remove(&len);
    }
    room.kept -= bytes::<T>(len);
    room.used += bytes::<T>(len);
    Some(buffer)
}

fn keep<T>(kept: &mut Kept<T>, room: &mut Room, buffer: Vec<T>) {
    let len = bytes::<T>(buffer.len());
    room.used = room.used.saturating_sub(len);
    if room.kept + room.used + len <= room.limit {
        room.kept += len;
        kept.entry(buffer.len()).or_default().push(buffer);
    }
}

/// Returns the bytes that it freed.
fn drop_longest<T>(kept: &mut Kept<T>) -> u64 {
    let Some(mut longest) = kept.last_entry() else { return 0 };
    let freed = longest.get_mut().pop().map_or(0, |buffer| bytes::<T>(buffer.len()));
    if longest.get().is_empty() {
        longest.remove();
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_used_stay_within_the_limit() {
        let mut buffers = Buffers::within(1000, Scratch::exact());
        buffers.begin(400);
        let (a, b) = (buffers.floats(100), buffers.integers(50));
        buffers.put(Data::F32(a));
        buffers.put(Data::I32(b));
        assert_eq!((buffers.room.used, buffers.room.kept), (400, 600));
        let again = buffers.floats(100);
        assert_eq!((buffers.room.used, buffers.room.kept), (800, 200));
        let other = buffers.floats(40);
        assert_eq!((buffers.room.used, buffers.room.kept), (960, 0), "the kept integers went");
        buffers.put(Data::F32(again));
        buffers.put(Data::F32(other));
        buffers.begin(900);
        assert_eq!((buffers.room.used, buffers.room.kept), (900, 0), "no room beside more inputs");
    }
}
