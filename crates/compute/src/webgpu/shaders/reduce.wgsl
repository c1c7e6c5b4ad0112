// Combines elements of x, several chunks a result: view 1 of x says where each result begins, view 8 where its elements
// lie from there. Chunks take elements in turn, so that neighbouring invocations read neighbouring elements. NUMBER and
// COMBINE come with the operation.

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
    let first = at(1u, i / chunks);
    var a = x[first + at(8u, i % chunks)];
    if p[8].x == 1u {
        let stride = p[9].y;
        for (var element = i % chunks + chunks; element < count; element += chunks) {
            let b = x[first + element * stride];
            a = COMBINE;
        }
    } else {
        for (var element = i % chunks + chunks; element < count; element += chunks) {
            let b = x[first + at(8u, element)];
            a = COMBINE;
        }
    }
    result[i] = a;
}
