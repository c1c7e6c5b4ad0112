// Adds updates [outer, indices, inner] to the rows of result [outer, extent, inner] that the indices name. WGSL adds no
// floats atomically, so each addition is tried until nothing came between. Indices were checked before the run.

struct Params { len: u32, extent: u32, inner: u32, indices: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> updates: array<f32>;
@group(0) @binding(3) var<storage, read> indices: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    let row = i / p.inner;
    let target_at = (row / p.indices * p.extent + indices[row % p.indices]) * p.inner + i % p.inner;
    var old = atomicLoad(&result[target_at]);
    loop {
        let next = bitcast<u32>(bitcast<f32>(old) + updates[i]);
        let tried = atomicCompareExchangeWeak(&result[target_at], old, next);
        if tried.exchanged { break; }
        old = tried.old_value;
    }
}
