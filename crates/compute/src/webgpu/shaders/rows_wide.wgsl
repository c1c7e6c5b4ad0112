// Operations on rows of `width` elements, one row a workgroup: neighbours read neighbours, and maxima and sums meet in
// workgroup memory. The same results as of rows.wgsl, sums in another order.

const SIZE = 256u;

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> dloss: array<f32>;

var<workgroup> parts: array<f32, SIZE>;

fn whole_sum(part: f32, local: u32) -> f32 {
    workgroupBarrier();
    parts[local] = part;
    for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half { parts[local] += parts[local + half]; }
    }
    workgroupBarrier();
    return parts[0];
}

fn whole_greatest(part: f32, local: u32) -> f32 {
    workgroupBarrier();
    parts[local] = part;
    for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half { parts[local] = max(parts[local], parts[local + half]); }
    }
    workgroupBarrier();
    return parts[0];
}

fn greatest(first: u32, local: u32) -> f32 {
    var best = a[first];
    for (var j = local; j < p.width; j += SIZE) { best = max(best, a[first + j]); }
    return whole_greatest(best, local);
}

fn total_of(first: u32, best: f32, local: u32) -> f32 {
    var total = 0.0;
    for (var j = local; j < p.width; j += SIZE) { total += exp(a[first + j] - best); }
    return whole_sum(total, local);
}

@compute @workgroup_size(256)
fn softmax(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= p.rows { return; }
    let first = row * p.width;
    let best = greatest(first, local);
    let total = total_of(first, best, local);
    for (var j = local; j < p.width; j += SIZE) { result[first + j] = exp(a[first + j] - best) / total; }
}

// a is softmax(x), b is dy.
@compute @workgroup_size(256)
fn softmax_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= p.rows { return; }
    let first = row * p.width;
    var part = 0.0;
    for (var j = local; j < p.width; j += SIZE) { part += a[first + j] * b[first + j]; }
    let total = whole_sum(part, local);
    for (var j = local; j < p.width; j += SIZE) { result[first + j] = a[first + j] * (b[first + j] - total); }
}

// The share of each row in the mean loss.
@compute @workgroup_size(256)
fn cross_entropy(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= p.rows { return; }
    let first = row * p.width;
    let best = greatest(first, local);
    let total = total_of(first, best, local);
    if local == 0u { result[row] = (log(total) - (a[first + u32(labels[row])] - best)) / f32(p.rows); }
}

// At the label the gradient is minus the sum of the others, so that a confident row does not cancel.
@compute @workgroup_size(256)
fn cross_entropy_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = workgroup.y * workgroups.x + workgroup.x;
    if row >= p.rows { return; }
    let first = row * p.width;
    let best = greatest(first, local);
    let label = u32(labels[row]);
    var part = 0.0;
    for (var j = local; j < p.width; j += SIZE) { part += select(exp(a[first + j] - best), 0.0, j == label); }
    let others = whole_sum(part, local);
    let total = others + exp(a[first + label] - best);
    let factor = dloss[0] / f32(p.rows);
    for (var j = local; j < p.width; j += SIZE) {
        result[first + j] = select(exp(a[first + j] - best), -others, j == label) / total * factor;
    }
}
