//! Times decoding and planning of the largest graphs, and the memory that both take at their peak: `cargo run --release -p
//! shoal-compute --example plan_time [-- --json]`. What bounds them is tested by counts (`executable/tests.rs`); this is how
//! long that takes here.

#[path = "../tests/large/mod.rs"]
mod large;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use serde_json::json;
use shoal_compute::Executable;
use shoal_graph::Graph;

const RUNS: usize = 5;

/// The system's allocator, which knows how much is in use and how much was at most.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(used, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn main() {
    let is_json = std::env::args().any(|argument| argument == "--json");
    let mut rows = Vec::new();
    for (name, graph) in large::graphs() {
        let (nodes, bytes) = (graph.nodes().len(), graph.bytes().to_vec());
        drop(graph);
        let (mut decode_ms, mut plan_ms, mut peak_bytes) = (f64::INFINITY, f64::INFINITY, 0);
        for _ in 0..RUNS {
            let before = USED.load(Relaxed);
            PEAK.store(before, Relaxed);
            let start = Instant::now();
            let graph = Graph::decode(&bytes).expect("it was made so");
            decode_ms = decode_ms.min(start.elapsed().as_secs_f64() * 1e3);
            let start = Instant::now();
            let executable = Executable::new(graph);
            plan_ms = plan_ms.min(start.elapsed().as_secs_f64() * 1e3);
            peak_bytes = peak_bytes.max(PEAK.load(Relaxed) - before);
            drop(executable);
        }
        if !is_json {
            println!(
                "{name:<40} {nodes:>6} nodes, {:>7} bytes: decode {decode_ms:6.1} ms, plan {plan_ms:6.1} ms, {:5.1} MB",
                bytes.len(),
                peak_bytes as f64 / 1e6
            );
        }
        rows.push(json!({ "graph": name, "nodes": nodes, "encoded_bytes": bytes.len(), "decode_ms": decode_ms, "plan_ms": plan_ms, "peak_bytes": peak_bytes }));
    }
    if is_json {
        println!("{}", json!({ "runs": RUNS, "graphs": rows }));
    }
}
