// Parts of dweight [chunks, o, c / groups, kh, kw]: rows are output channels of a group, columns weights of a channel, the depth
// positions of all samples.

@group(0) @binding(1) var<storage, read_write> part_of_weight: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

fn lines_a(group: u32, first: u32) -> Lines {
    let rows = four(first, p.m - 1u) + group * p.m;
    return Lines(vec4<i32>(rows * p.out_height * p.out_width), vec4<i32>(), vec4<i32>());
}

fn at_a(lines: Lines, tap: vec3<u32>, is_there: bool) -> vec4<f32> {
    if !is_there { return vec4<f32>(); }
    let at = lines.at + i32((tap.x * p.groups * p.m * p.out_height + tap.y) * p.out_width + tap.z);
    return vec4(dy[at.x], dy[at.y], dy[at.z], dy[at.w]);
}

fn lines_b(group: u32, first: u32) -> Lines {
    let kernel = p.kernel_height * p.kernel_width;
    let at = four(first, p.n - 1u);
    return Lines(
        vec4<i32>((at / kernel + group * p.channels) * (p.height * p.width)),
        vec4<i32>((at % kernel) / p.kernel_width * p.dilation_y) - i32(p.low_y),
        vec4<i32>(at % p.kernel_width * p.dilation_x) - i32(p.low_x),
    );
}

fn at_b(lines: Lines, tap: vec3<u32>, is_there: bool) -> vec4<f32> {
    if !is_there { return vec4<f32>(); }
    let iy = lines.y + i32(tap.y * p.stride_y);
    let ix = lines.x + i32(tap.z * p.stride_x);
    let inside = (iy >= vec4(0)) & (iy < vec4(i32(p.height))) & (ix >= vec4(0)) & (ix < vec4(i32(p.width)));
    let sample = lines.at + i32(tap.x * p.groups * p.channels * p.height * p.width);
    let at = select(vec4(0), sample + iy * i32(p.width) + ix, inside);
    return select(vec4(0.0), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
}

fn store(part: u32, row: u32, column: u32, values: vec4<f32>) {
    if row >= p.m { return; }
    let at = (part * p.m + row) * p.n + column;
    if column < p.n { part_of_weight[at] = values.x; }
    if column + 1u < p.n { part_of_weight[at + 1u] = values.y; }
    if column + 2u < p.n { part_of_weight[at + 2u] = values.z; }
    if column + 3u < p.n { part_of_weight[at + 3u] = values.w; }
}
