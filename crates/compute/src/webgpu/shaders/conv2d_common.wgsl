// Sizes of a convolution. `channels` and `outputs` are those of one group.

struct Params {
    samples: u32, channels: u32, height: u32, width: u32,
    outputs: u32, kernel_height: u32, kernel_width: u32, out_height: u32,
    out_width: u32, groups: u32, stride_y: u32, stride_x: u32,
    dilation_y: u32, dilation_x: u32, low_y: u32, low_x: u32,
    samples_per_chunk: u32, sample_chunks: u32,
}

@group(0) @binding(0) var<uniform> p: Params;

fn four(first: u32, last: u32) -> vec4<u32> {
    return min(vec4(first, first + 1u, first + 2u, first + 3u), vec4(last));
}

