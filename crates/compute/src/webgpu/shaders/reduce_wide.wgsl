// Combines neighbouring elements of x, a workgroup for each chunk of a result: view 1 of x says where each result begins, its
// elements lie side by side from there. NUMBER and COMBINE come with the operation, as in reduce.wgsl.

const SIZE = 256u;

@group(0) @binding(0) var<uniform> p: array<vec4<u32>, 15>;
@group(0) @binding(1) var<storage, read_write> result: array<NUMBER>;
@group(0) @binding(2) var<storage, read> x: array<NUMBER>;

var<workgroup> parts: array<NUMBER, SIZE>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = workgroup.y * workgroups.x + workgroup.x;
    let count = p[0].y;
    let chunks = p[0].z;
    if i >= p[0].x * chunks { return; }
    let first = at(1u, i / chunks);
    let start = i % chunks * SIZE + local;
    if start < count {
        var a = x[first + start];
        for (var element = start + chunks * SIZE; element < count; element += chunks * SIZE) {
            let b = x[first + element];
            a = COMBINE;
        }
        parts[local] = a;
    }
    // The last chunk may have fewer elements than invocations.
    let left = min(count - min(i % chunks * SIZE, count), SIZE);
    for (var half = SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half && local + half < left {
            let a = parts[local];
            let b = parts[local + half];
            parts[local] = COMBINE;
        }
    }
    workgroupBarrier();
    if local == 0u { result[i] = parts[0]; }
}
