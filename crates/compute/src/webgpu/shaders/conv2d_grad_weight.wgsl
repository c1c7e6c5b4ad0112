// Partial dweight [chunks, o, c / groups, kh, kw] from x and dy, each chunk over some of the samples; another kernel
// adds the chunks. One invocation computes 4 output channels of a group at 4 of their weights.

@group(0) @binding(1) var<storage, read_write> partial: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = flat(workgroup, workgroups, local);
    let kernel = p.kernel_height * p.kernel_width;
    let depth = p.channels * kernel;
    let tiles_wide = (depth + 3u) / 4u;
    let tiles_high = (p.outputs + 3u) / 4u;
    let tiles = tiles_wide * tiles_high * p.groups;
    let chunk = index / tiles;
    if chunk >= p.sample_chunks { return; }
    let group = index % tiles / tiles_wide / tiles_high;
    let channel = (index % tiles / tiles_wide % tiles_high) * 4u;
    let first = (index % tiles_wide) * 4u;
    let k = four(first, depth - 1u);
    let plane = vec4<i32>((k / kernel + group * p.channels) * (p.height * p.width));
    let ky = vec4<i32>((k % kernel) / p.kernel_width * p.dilation_y) - i32(p.low_y);
    let kx = vec4<i32>(k % p.kernel_width * p.dilation_x) - i32(p.low_x);
    let image = p.out_height * p.out_width;
    let rows = (four(channel, p.outputs - 1u) + group * p.outputs) * image;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    let end = min((chunk + 1u) * p.samples_per_chunk, p.samples);
    for (var sample = chunk * p.samples_per_chunk; sample < end; sample++) {
        let from_x = plane + i32(sample * p.groups * p.channels * p.height * p.width);
        let from_dy = rows + sample * p.groups * p.outputs * image;
        for (var oy = 0u; oy < p.out_height; oy++) {
            let iy = ky + i32(oy * p.stride_y);
            let inside_y = (iy >= vec4(0)) & (iy < vec4(i32(p.height)));
            for (var ox = 0u; ox < p.out_width; ox++) {
                let ix = kx + i32(ox * p.stride_x);
                let inside = inside_y & (ix >= vec4(0)) & (ix < vec4(i32(p.width)));
                let source = select(vec4(0), from_x + iy * i32(p.width) + ix, inside);
                let values = select(vec4(0.0), vec4(x[source.x], x[source.y], x[source.z], x[source.w]), inside);
                let position = oy * p.out_width + ox;
                s0 += dy[from_dy.x + position] * values;
                s1 += dy[from_dy.y + position] * values;
                s2 += dy[from_dy.z + position] * values;
                s3 += dy[from_dy.w + position] * values;
            }
        }
    }
    for (var i = 0u; i < 4u && first + i < depth; i++) {
        let at = ((chunk * p.groups + group) * p.outputs + channel) * depth + first + i;
        partial[at] = s0[i];
        if channel + 1u < p.outputs { partial[at + depth] = s1[i]; }
        if channel + 2u < p.outputs { partial[at + 2u * depth] = s2[i]; }
        if channel + 3u < p.outputs { partial[at + 3u * depth] = s3[i]; }
    }
}
