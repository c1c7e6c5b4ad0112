// y [n, o, oh, ow] from x [n, c, h, w] and weight [o, c / groups, kh, kw]. One invocation computes 4 output channels of a
// group at 4 positions; positions run through all samples.

@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;

fn store(group: u32, channel: u32, position: u32, value: f32) {
    let image = p.out_height * p.out_width;
    if channel >= p.outputs || position >= p.samples * image { return; }
    y[((position / image * p.groups + group) * p.outputs + channel) * image + position % image] = value;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let tile = flat(workgroup, workgroups, local);
    let image = p.out_height * p.out_width;
    let positions = p.samples * image;
    let tiles = (positions + 3u) / 4u;
    let tiles_high = (p.outputs + 3u) / 4u;
    let group = tile / tiles / tiles_high;
    if group >= p.groups { return; }
    let channel = (tile / tiles % tiles_high) * 4u;
    let position = (tile % tiles) * 4u;
    let at = four(position, positions - 1u);
    let top = vec4<i32>((at % image) / p.out_width * p.stride_y) - i32(p.low_y);
    let left = vec4<i32>((at % p.out_width) * p.stride_x) - i32(p.low_x);
    let sample = vec4<i32>((at / image * p.groups + group) * (p.channels * p.height * p.width));
    let depth = p.channels * p.kernel_height * p.kernel_width;
    let rows = (four(channel, p.outputs - 1u) + group * p.outputs) * depth;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    var k = 0u;
    for (var c = 0u; c < p.channels; c++) {
        let plane = sample + i32(c * p.height * p.width);
        for (var ky = 0u; ky < p.kernel_height; ky++) {
            let iy = top + i32(ky * p.dilation_y);
            let inside_y = (iy >= vec4(0)) & (iy < vec4(i32(p.height)));
            for (var kx = 0u; kx < p.kernel_width; kx++) {
                let ix = left + i32(kx * p.dilation_x);
                let inside = inside_y & (ix >= vec4(0)) & (ix < vec4(i32(p.width)));
                let source = select(vec4(0), plane + iy * i32(p.width) + ix, inside);
                let values = select(vec4(0.0), vec4(x[source.x], x[source.y], x[source.z], x[source.w]), inside);
                s0 += weight[rows.x + k] * values;
                s1 += weight[rows.y + k] * values;
                s2 += weight[rows.z + k] * values;
                s3 += weight[rows.w + k] * values;
                k++;
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
