// Operations on rows of `width` elements, one row an invocation.

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> dloss: array<f32>;

fn greatest(first: u32) -> f32 {
    var best = a[first];
    for (var j = 1u; j < p.width; j++) { best = max(best, a[first + j]); }
    return best;
}

@compute @workgroup_size(64)
fn softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat(workgroup, workgroups, local);
    if row >= p.rows { return; }
    let first = row * p.width;
    let best = greatest(first);
    var total = 0.0;
    for (var j = 0u; j < p.width; j++) { total += exp(a[first + j] - best); }
    for (var j = 0u; j < p.width; j++) { result[first + j] = exp(a[first + j] - best) / total; }
}

// a is softmax(x), b is dy.
@compute @workgroup_size(64)
fn softmax_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat(workgroup, workgroups, local);
    if row >= p.rows { return; }
    let first = row * p.width;
    var total = 0.0;
    for (var j = 0u; j < p.width; j++) { total += a[first + j] * b[first + j]; }
    for (var j = 0u; j < p.width; j++) { result[first + j] = a[first + j] * (b[first + j] - total); }
}

// The share of each row in the mean loss.
@compute @workgroup_size(64)
fn cross_entropy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat(workgroup, workgroups, local);
    if row >= p.rows { return; }
    let first = row * p.width;
    let best = greatest(first);
    var total = 0.0;
    for (var j = 0u; j < p.width; j++) { total += exp(a[first + j] - best); }
    result[row] = (log(total) - (a[first + u32(labels[row])] - best)) / f32(p.rows);
}

// At the label the gradient is minus the sum of the others, so that a confident row does not cancel.
@compute @workgroup_size(64)
fn cross_entropy_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = flat(workgroup, workgroups, local);
    if row >= p.rows { return; }
    let first = row * p.width;
    let best = greatest(first);
    let label = u32(labels[row]);
    var others = 0.0;
    for (var j = 0u; j < p.width; j++) {
        if j != label { others += exp(a[first + j] - best); }
    }
    let total = others + exp(a[first + label] - best);
    let factor = dloss[0] / f32(p.rows);
    for (var j = 0u; j < p.width; j++) {
        result[first + j] = exp(a[first + j] - best) / total * factor;
    }
    result[first + label] = -others / total * factor;
}
