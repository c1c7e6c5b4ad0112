// Combines elements of x, several chunks a result: view 1 of x says where each result begins, view 8 where its elements
// lie from there. Chunks take elements in turn. Neighbouring invocations have neighbouring chunks, or neighbouring results
// where those are what lies together in memory. NUMBER and COMBINE come with the operation.

@group(0) @binding(0) var<uniform> p: array<vec4<u32>, 15>;
@group(0) @binding(1) var<storage, read_write> result: array<NUMBER>;
@group(0) @binding(2) var<storage, read> x: array<NUMBER>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    let count = p[0].y;
    let chunks = p[0].z;
    if i >= p[0].x * chunks { return; }
    let is_across = p[0].w == 1u;
    let chunk = select(i % chunks, i / p[0].x, is_across);
    let first = at(1u, select(i / chunks, i % p[0].x, is_across));
    var a = x[first + at(8u, chunk)];
    if p[8].x == 1u {
        let stride = p[9].y;
        for (var element = chunk + chunks; element < count; element += chunks) {
            let b = x[first + element * stride];
            a = COMBINE;
        }
    } else {
        for (var element = chunk + chunks; element < count; element += chunks) {
            let b = x[first + at(8u, element)];
            a = COMBINE;
        }
    }
    result[i] = a;
}
