// Lines and depths of convolutions as places in images. A depth is three indices, taken apart once for a block of four and
// counted on.

struct Lines { at: vec4<i32>, y: vec4<i32>, x: vec4<i32> }

// (k / (high · wide), k / wide mod high, k mod wide).
fn split(k: u32, high: u32, wide: u32) -> vec3<u32> {
    return vec3(k / (high * wide), k / wide % high, k % wide);
}

fn next(at: vec3<u32>, high: u32, wide: u32) -> vec3<u32> {
    if at.z + 1u < wide { return vec3(at.x, at.y, at.z + 1u); }
    if at.y + 1u < high { return vec3(at.x, at.y + 1u, 0u); }
    return vec3(at.x + 1u, 0u, 0u);
}
