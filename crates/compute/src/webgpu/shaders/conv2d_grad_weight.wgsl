// Partial dweight [chunks, o, c, kh, kw] source x and dy, each chunk over some of the samples; another kernel adds the
// chunks. One invocation computes 4 output channels at 4 weights of a channel.

struct Params {
    samples: u32, channels: u32, height: u32, width: u32,
    out_channels: u32, kernel_height: u32, kernel_width: u32,
    out_height: u32, out_width: u32, stride: u32, padding: u32,
    samples_per_chunk: u32, chunks: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
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
    let tiles = tiles_wide * ((p.out_channels + 3u) / 4u);
    let chunk = index / tiles;
    if chunk >= p.chunks { return; }
    let channel = ((index % tiles) / tiles_wide) * 4u;
    let first = ((index % tiles) % tiles_wide) * 4u;
    let k = min(vec4(first, first + 1u, first + 2u, first + 3u), vec4(depth - 1u));
    let plane = vec4<i32>(k / kernel * (p.height * p.width));
    let ky = vec4<i32>((k % kernel) / p.kernel_width) - i32(p.padding);
    let kx = vec4<i32>(k % p.kernel_width) - i32(p.padding);
    let image = p.out_height * p.out_width;
    let rows = min(vec4(channel, channel + 1u, channel + 2u, channel + 3u), vec4(p.out_channels - 1u)) * image;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    let end = min((chunk + 1u) * p.samples_per_chunk, p.samples);
    for (var sample = chunk * p.samples_per_chunk; sample < end; sample++) {
        let from_x = plane + i32(sample * p.channels * p.height * p.width);
        let from_dy = rows + sample * p.out_channels * image;
        for (var oy = 0u; oy < p.out_height; oy++) {
            let iy = ky + i32(oy * p.stride);
            let inside_y = (iy >= vec4(0)) & (iy < vec4(i32(p.height)));
            for (var ox = 0u; ox < p.out_width; ox++) {
                let ix = kx + i32(ox * p.stride);
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
        let at = (chunk * p.out_channels + channel) * depth + first + i;
        partial[at] = s0[i];
        if channel + 1u < p.out_channels { partial[at + depth] = s1[i]; }
        if channel + 2u < p.out_channels { partial[at + 2u * depth] = s2[i]; }
        if channel + 3u < p.out_channels { partial[at + 3u * depth] = s3[i]; }
    }
}
