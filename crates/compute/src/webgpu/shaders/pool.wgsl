// Pooling over windows of images. Of equals in a window the first is the greatest; padding never is, and adds nothing.

struct Params {
    len: u32, height: u32, width: u32, out_height: u32,
    out_width: u32, kernel_height: u32, kernel_width: u32, stride_y: u32,
    stride_x: u32, dilation_y: u32, dilation_x: u32, low_y: u32,
    low_x: u32, nothing: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> winners: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

// No element of an image has this position.
const NONE = 0xffffffffu;

// Position of a window's element, or NONE in the padding.
fn element(window: u32, ky: u32, kx: u32) -> u32 {
    let image = p.out_height * p.out_width;
    // What is before the image wraps around to beyond it.
    let y = window % image / p.out_width * p.stride_y + ky * p.dilation_y - p.low_y;
    let x = window % p.out_width * p.stride_x + kx * p.dilation_x - p.low_x;
    return select(NONE, (window / image * p.height + y) * p.width + x, y < p.height && x < p.width);
}

// Position of the window that has an element at a place of its own, or NONE.
fn window_of(position: u32, ky: u32, kx: u32) -> u32 {
    let image = p.height * p.width;
    let y = position % image / p.width + p.low_y;
    let x = position % p.width + p.low_x;
    if y < ky * p.dilation_y || x < kx * p.dilation_x { return NONE; }
    let from_y = y - ky * p.dilation_y;
    let from_x = x - kx * p.dilation_x;
    let oy = from_y / p.stride_y;
    let ox = from_x / p.stride_x;
    if oy * p.stride_y != from_y || ox * p.stride_x != from_x || oy >= p.out_height || ox >= p.out_width { return NONE; }
    return (position / image * p.out_height + oy) * p.out_width + ox;
}

fn winner(window: u32) -> u32 {
    var best = NONE;
    for (var ky = 0u; ky < p.kernel_height; ky++) {
        for (var kx = 0u; kx < p.kernel_width; kx++) {
            let at = element(window, ky, kx);
            if at == NONE { continue; }
            if best == NONE {
                best = at;
            } else if x[at] > x[best] {
                best = at;
            }
        }
    }
    return best;
}

@compute @workgroup_size(64)
fn greatest(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    let best = winner(i);
    if best == NONE {
        result[i] = bitcast<f32>(p.nothing);
    } else {
        result[i] = x[best];
    }
}

@compute @workgroup_size(64)
fn greatest_positions(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p.len { positions[i] = winner(i); }
}

// dx: each dy goes to the winner of its window.
@compute @workgroup_size(64)
fn greatest_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    var sum = 0.0;
    for (var ky = 0u; ky < p.kernel_height; ky++) {
        for (var kx = 0u; kx < p.kernel_width; kx++) {
            let window = window_of(i, ky, kx);
            if window == NONE { continue; }
            if winners[window] == i { sum += dy[window]; }
        }
    }
    result[i] = sum;
}

@compute @workgroup_size(64)
fn sums(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    var sum = 0.0;
    for (var ky = 0u; ky < p.kernel_height; ky++) {
        for (var kx = 0u; kx < p.kernel_width; kx++) {
            let at = element(i, ky, kx);
            if at != NONE { sum += x[at]; }
        }
    }
    result[i] = sum;
}

// dx: each dy goes to every element of its window; x is dy here.
@compute @workgroup_size(64)
fn sums_grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    var sum = 0.0;
    for (var ky = 0u; ky < p.kernel_height; ky++) {
        for (var kx = 0u; kx < p.kernel_width; kx++) {
            let window = window_of(i, ky, kx);
            if window != NONE { sum += x[window]; }
        }
    }
    result[i] = sum;
}
