// c [batch, m, n] = a [batch, m, k] · b [batch, k, n], the matrices with any strides. One invocation computes a
// register tile of 4 × 4.

struct Params { m: u32, n: u32, k: u32, a_row: u32, a_column: u32, b_row: u32, b_column: u32, batch: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> c: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

fn store(first: u32, row: u32, column: u32, values: vec4<f32>) {
    if row >= p.m { return; }
    let at = first + row * p.n + column;
    c[at] = values.x;
    if column + 1u < p.n { c[at + 1u] = values.y; }
    if column + 2u < p.n { c[at + 2u] = values.z; }
    if column + 3u < p.n { c[at + 3u] = values.w; }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = flat(workgroup, workgroups, local);
    let tiles = (p.n + 3u) / 4u;
    let tiles_high = (p.m + 3u) / 4u;
    let matrix = tile / tiles / tiles_high;
    if matrix >= p.batch { return; }
    let row = (tile / tiles % tiles_high) * 4u;
    let column = (tile % tiles) * 4u;
    // Beyond the edge the last row or column is computed again and not stored.
    let first_a = matrix * p.m * p.k;
    let first_b = matrix * p.k * p.n;
    let rows = first_a + min(vec4(row, row + 1u, row + 2u, row + 3u), vec4(p.m - 1u)) * p.a_row;
    let columns = first_b + min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(p.n - 1u)) * p.b_column;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var k = 0u; k < p.k; k++) {
        let at_b = columns + k * p.b_row;
        let values = vec4(b[at_b.x], b[at_b.y], b[at_b.z], b[at_b.w]);
        let at_a = rows + k * p.a_column;
        s0 += a[at_a.x] * values;
        s1 += a[at_a.y] * values;
        s2 += a[at_a.z] * values;
        s3 += a[at_a.w] * values;
    }
    let first = matrix * p.m * p.n;
    store(first, row, column, s0);
    store(first, row + 1u, column, s1);
    store(first, row + 2u, column, s2);
    store(first, row + 3u, column, s3);
}
