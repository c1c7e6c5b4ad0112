// dx [n, c, h, w] from weight [o, c / groups, kh, kw] and dy [n, o, oh, ow]. One invocation computes 4 input channels of
// a group at 4 positions; positions run through all samples.

@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

fn store(group: u32, channel: u32, position: u32, value: f32) {
    let image = p.height * p.width;
    if channel >= p.channels || position >= p.samples * image { return; }
    dx[((position / image * p.groups + group) * p.channels + channel) * image + position % image] = value;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = flat(workgroup, workgroups, local);
    let image = p.height * p.width;
    let positions = p.samples * image;
    let tiles = (positions + 3u) / 4u;
    let tiles_high = (p.channels + 3u) / 4u;
    let group = tile / tiles / tiles_high;
    if group >= p.groups { return; }
    let channel = (tile / tiles % tiles_high) * 4u;
    let position = (tile % tiles) * 4u;
    let at = four(position, positions - 1u);
    let bottom = vec4<i32>((at % image) / p.width + p.low_y);
    let right = vec4<i32>(at % p.width + p.low_x);
    let out_image = p.out_height * p.out_width;
    let sample = vec4<i32>((at / image * p.groups + group) * (p.outputs * out_image));
    let kernel = p.kernel_height * p.kernel_width;
    let rows = (four(channel, p.channels - 1u) + group * p.outputs * p.channels) * kernel;
    let stride_y = i32(p.stride_y);
    let stride_x = i32(p.stride_x);
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var o = 0u; o < p.outputs; o++) {
        let plane = sample + i32(o * out_image);
        for (var ky = 0u; ky < p.kernel_height; ky++) {
            let dy_y = bottom - i32(ky * p.dilation_y);
            let oy = dy_y / stride_y;
            let inside_y = (dy_y >= vec4(0)) & (oy * stride_y == dy_y) & (oy < vec4(i32(p.out_height)));
            for (var kx = 0u; kx < p.kernel_width; kx++) {
                let dy_x = right - i32(kx * p.dilation_x);
                let ox = dy_x / stride_x;
                let inside =
                    inside_y & (dy_x >= vec4(0)) & (ox * stride_x == dy_x) & (ox < vec4(i32(p.out_width)));
                let source = select(vec4(0), plane + oy * i32(p.out_width) + ox, inside);
                let values = select(vec4(0.0), vec4(dy[source.x], dy[source.y], dy[source.z], dy[source.w]), inside);
                let k = o * p.channels * kernel + ky * p.kernel_width + kx;
                s0 += weight[rows.x + k] * values;
                s1 += weight[rows.y + k] * values;
                s2 += weight[rows.z + k] * values;
                s3 += weight[rows.w + k] * values;
            }
        }
    }
    for (var i = 0u; i < 4u; i++) {
        store(group, channel, position + i, s0[i]);
        store(group, channel + 1u, position + i, s1[i]);
        store(group, channel + 2u, position + i, s2[i]);
        store(group, channel + 3u, position + i, s3[i]);
    }
}
