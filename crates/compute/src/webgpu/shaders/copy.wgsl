// Elements of one view to the places of another, whatever their type.

@group(0) @binding(0) var<uniform> p: array<vec4<u32>, 15>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat(workgroup, workgroups, local);
    if i < p[0].x { result[at(8u, i)] = x[at(1u, i)]; }
}
