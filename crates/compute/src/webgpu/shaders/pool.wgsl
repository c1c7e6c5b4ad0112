// Max pooling over square windows that do not overlap; a tie goes to the first element.

struct Params { len: u32, height: u32, width: u32, out_height: u32, out_width: u32, size: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

// Index of the greatest element of a window.
fn winner(plane: u32, oy: u32, ox: u32) -> u32 {
    let first = plane * p.height * p.width + oy * p.size * p.width + ox * p.size;
    var best = first;
    for (var y = 0u; y < p.size; y++) {
        for (var column = 0u; column < p.size; column++) {
            let at = first + y * p.width + column;
            if x[at] > x[best] { best = at; }
        }
    }
    return best;
}

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    let image = p.out_height * p.out_width;
    result[i] = x[winner(i / image, i % image / p.out_width, i % p.out_width)];
}

@compute @workgroup_size(64)
fn grad(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i >= p.len { return; }
    let image = p.height * p.width;
    let plane = i / image;
    let oy = i % image / p.width / p.size;
    let ox = i % p.width / p.size;
    var gradient = 0.0;
    if oy < p.out_height && ox < p.out_width {
        if winner(plane, oy, ox) == i { gradient = dy[(plane * p.out_height + oy) * p.out_width + ox]; }
    }
    result[i] = gradient;
}
