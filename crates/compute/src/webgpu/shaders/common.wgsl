// Before every kernel. Binding 0 is the kernel's parameters, 1 its result, 2 and on its operands. Invocations are
// numbered along x, and along y where there are more workgroups than one dimension holds.

fn flat(workgroup: vec3<u32>, workgroups: vec3<u32>, local: u32) -> u32 {
    return (workgroup.y * workgroups.x + workgroup.x) * 64u + local;
}
