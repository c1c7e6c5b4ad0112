// dx [n, c, h, w] source weight [o, c, kh, kw] and dy [n, o, oh, ow]. One invocation computes 4 input channels at 4
// positions; positions run through all samples.

struct Params {
    samples: u32, channels: u32, height: u32, width: u32,
    out_channels: u32, kernel_height: u32, kernel_width: u32,
    out_height: u32, out_width: u32, stride: u32, padding: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

fn store(channel: u32, position: u32, value: f32) {
    let image = p.height * p.width;
    if channel >= p.channels || position >= p.samples * image { return; }
    dx[((position / image) * p.channels + channel) * image + position % image] = value;
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
    let channel = (tile / tiles) * 4u;
    let position = (tile % tiles) * 4u;
    if channel >= p.channels { return; }
    let at = min(vec4(position, position + 1u, position + 2u, position + 3u), vec4(positions - 1u));
    let bottom = vec4<i32>((at % image) / p.width + p.padding);
    let right = vec4<i32>(at % p.width + p.padding);
    let out_image = p.out_height * p.out_width;
    let sample = vec4<i32>(at / image * (p.out_channels * out_image));
    let kernel = p.kernel_height * p.kernel_width;
    let rows = min(vec4(channel, channel + 1u, channel + 2u, channel + 3u), vec4(p.channels - 1u)) * kernel;
    let stride = i32(p.stride);
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var o = 0u; o < p.out_channels; o++) {
        let plane = sample + i32(o * out_image);
        for (var ky = 0u; ky < p.kernel_height; ky++) {
            let dy_y = bottom - i32(ky);
            let oy = dy_y / stride;
            let inside_y = (dy_y >= vec4(0)) & (oy * stride == dy_y) & (oy < vec4(i32(p.out_height)));
            for (var kx = 0u; kx < p.kernel_width; kx++) {
                let dy_x = right - i32(kx);
                let ox = dy_x / stride;
                let inside =
                    inside_y & (dy_x >= vec4(0)) & (ox * stride == dy_x) & (ox < vec4(i32(p.out_width)));
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
        store(channel, position + i, s0[i]);
        store(channel + 1u, position + i, s1[i]);
        store(channel + 2u, position + i, s2[i]);
        store(channel + 3u, position + i, s3[i]);
    }
}
