// Reading by index and finding an index. A tensor is [outer, extent, inner]; indices were checked before the run.

struct Params { len: u32, extent: u32, inner: u32, indices: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read> indices: array<u32>;

// [outer, indices, inner].
@compute @workgroup_size(64)
fn gather(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    let row = i / p.inner;
    result[i] = x[(row / p.indices * p.extent + indices[row % p.indices]) * p.inner + i % p.inner];
}

// Position of the greatest along the axis, the first of equals: [outer, inner].
@compute @workgroup_size(64)
fn arg_max(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    let first = i / p.inner * p.extent * p.inner + i % p.inner;
    var best = 0u;
    for (var at = 1u; at < p.extent; at++) {
        if bitcast<f32>(x[first + at * p.inner]) > bitcast<f32>(x[first + best * p.inner]) { best = at; }
    }
    result[i] = best;
}
