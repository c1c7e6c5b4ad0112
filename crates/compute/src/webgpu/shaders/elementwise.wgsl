// Operations with one result element an invocation.

struct Params { len: u32, channels: u32, inner: u32, count: u32, value: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

@compute @workgroup_size(64)
fn relu(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { result[i] = select(0.0, a[i], a[i] > 0.0); }
}

// a is x, b is dy.
@compute @workgroup_size(64)
fn relu_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { result[i] = select(0.0, b[i], a[i] > 0.0); }
}

@compute @workgroup_size(64)
fn add(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { result[i] = a[i] + b[i]; }
}

// b is the bias: one element a channel, each channel `inner` elements.
@compute @workgroup_size(64)
fn add_bias(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { result[i] = a[i] + b[i / p.inner % p.channels]; }
}

@compute @workgroup_size(64)
fn scale(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { result[i] = a[i] * p.value; }
}

@compute @workgroup_size(64)
fn fill(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { result[i] = p.value; }
}

// Sums of `inner` consecutive elements.
@compute @workgroup_size(64)
fn sum_inner(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    var sum = 0.0;
    for (var j = 0u; j < p.inner; j++) { sum += a[i * p.inner + j]; }
    result[i] = sum;
}

// value · Σ over `count` rows of `len` elements.
@compute @workgroup_size(64)
fn sum_rows(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    var sum = 0.0;
    for (var j = 0u; j < p.count; j++) { sum += a[j * p.len + i]; }
    result[i] = sum * p.value;
}
