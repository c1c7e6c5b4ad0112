//! Graphs made to hurt whoever reads them: every one is refused by name, in little time and little memory.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod attributes;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, Instant},
};

use prost::Message;
use shoal_graph::{
    DType, Graph, GraphBuilder, GraphError, Literal, Op, Reduction, TensorType, Window2d,
    limits::{MAX_CONCAT, MAX_GRAPH_BYTES, MAX_NODES},
};

/// Bytes that a reader may hold at once for a stranger's graph.
const MEMORY_BYTES: usize = 50 << 20;
/// Time that it may spend: the least of several tries, because others run on the same machine.
const TIME: Duration = Duration::from_millis(50);
const TRIES: usize = 8;

/// Counts what this thread holds.
struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    LIVE.with(|live| {
        live.set(live.get().saturating_add(bytes));
        PEAK.with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn gave(bytes: usize) {
    LIVE.with(|live| live.set(live.get().saturating_sub(bytes)));
}

#[allow(unsafe_code, reason = "an allocator is unsafe to write; this one passes everything on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may live at once while elements are copied.
        took(size);
        gave(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Refuses within the bounds, and says how.
fn refused(what: &str, bytes: &[u8]) -> GraphError {
    let mut fastest = Duration::MAX;
    let mut error = None;
    for _ in 0..TRIES {
        let before = LIVE.get();
        PEAK.set(before);
        let start = Instant::now();
        let result = Graph::decode(bytes);
        fastest = fastest.min(start.elapsed());
        let held = PEAK.get() - before;
        assert!(held <= MEMORY_BYTES, "{what}: {held} bytes held for {} read", bytes.len());
        error = result.err();
        assert!(error.is_some(), "{what} is accepted");
        if fastest <= TIME {
            break;
        }
    }
    assert!(fastest <= TIME, "{what}: {fastest:?}");
    error.unwrap()
}

#[test]
fn attributes_are_refused_by_name() {
    for (what, graph, words) in attributes::attributes() {
        let error = refused(what, &graph.encode_to_vec()).to_string();
        assert!(error.contains(words), "{what}: {error}");
    }
}

/// As many bytes as a graph may have, of fields that cost the decoder the most for each byte.
#[test]
fn many_small_fields_cost_little() {
    let repeated =
        |field: &[u8]| [&[0x08, 0x02], field.repeat((MAX_GRAPH_BYTES - 2) / field.len()).as_slice()].concat();
    let within = |tag: u8, content: Vec<u8>| {
        let mut bytes = vec![0x08, 0x02, tag];
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    };
    let half = MAX_GRAPH_BYTES - 16;
    for (what, bytes) in [
        ("empty values", repeated(&[0x12, 0x00])),
        ("empty nodes", repeated(&[0x22, 0x00])),
        ("empty outputs", repeated(&[0x2a, 0x00])),
        ("inputs one by one", repeated(&[0x18, 0x00])),
        ("nodes of one operation", repeated(&[0x22, 0x03, 0xe2, 0x02, 0x00])),
        ("nodes of empty slices", repeated(&[0x22, 0x03, 0x8a, 0x03, 0x00])),
        ("a value of many dimensions", within(0x12, [0x18; 2].repeat(half / 2))),
        ("a node of many operands", within(0x22, [0x08, 0x00].repeat(half / 2))),
        ("a node of many operations", within(0x22, [0x8a, 0x03, 0x00].repeat(half / 3))),
        ("unknown fields", repeated(&[0x78, 0x00])),
        ("nested groups", repeated(&[0x7b])),
    ] {
        refused(what, &bytes);
    }
}

#[test]
fn deep_and_wide_graphs_at_the_limits_are_read() {
    let mut deep = GraphBuilder::new();
    let mut x = deep.input("x", TensorType::f32([2])).unwrap();
    for _ in 0..MAX_NODES {
        x = deep.add(x, x).unwrap();
    }
    assert!(matches!(deep.add(x, x), Err(GraphError::TooLarge { what: "number of nodes", .. })));
    deep.output("x", x);
    let deep = deep.finish().unwrap();
    assert_eq!(Graph::decode(deep.bytes()).unwrap().nodes().len(), MAX_NODES);

    let mut wide = GraphBuilder::new();
    let x = wide.input("x", TensorType::f32([1])).unwrap();
    for _ in 0..100 {
        let y = wide.apply(Op::Concat { axis: 0 }, &[x; MAX_CONCAT]).unwrap();
        wide.output(format!("y{}", y.index()), y);
    }
    let wide = wide.finish().unwrap();
    assert_eq!(Graph::decode(wide.bytes()).unwrap(), wide);
}

#[test]
fn truncations_and_flipped_bits_are_refused_or_mean_themselves() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([1, 2, 5, 5])).unwrap();
    let weight = b.input("w", TensorType::f32([2, 1, 3, 3])).unwrap();
    let y = b.conv2d(x, weight, None, Window2d::square(2, 1), 2).unwrap();
    let y = b
        .apply(Op::Slice { starts: vec![0, 1, 2, 0], steps: vec![1, -1, -2, 1], shape: vec![1, 2, 2, 3] }, &[y])
        .unwrap();
    let mask = b.apply(Op::Constant(Literal::i32([3], &[0, 1, 0])), &[]).unwrap();
    let y = b.select(mask, y, y).unwrap();
    let y = b.apply(Op::Pad { low: vec![1; 4], high: vec![0; 4], interior: vec![2; 4], value: 1.5 }, &[y]).unwrap();
    let y = b.apply(Op::Reduce { reduction: Reduction::Max, axes: vec![0, 2] }, &[y]).unwrap();
    let y = b.cast(y, DType::I32).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let bytes = graph.bytes();
    for len in 0..bytes.len() {
        assert!(Graph::decode(&bytes[..len]).is_err(), "{len} bytes of {}", bytes.len());
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(graph) = Graph::decode(&damaged) {
            assert_eq!(graph.bytes(), damaged);
        }
    }
}
