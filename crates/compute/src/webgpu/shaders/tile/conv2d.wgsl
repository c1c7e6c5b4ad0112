// y [n, o, oh, ow]: rows are output channels of a group, columns positions of all samples, the depth weights of a channel.

@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;

fn lines_a(group: u32, first: u32) -> Lines {
    let rows = four(first, p.m - 1u) + group * p.m;
    return Lines(vec4<i32>(rows * p.k), vec4<i32>(), vec4<i32>());
}

fn at_a(lines: Lines, k: u32, end_k: u32) -> vec4<f32> {
    if k >= end_k { return vec4<f32>(); }
    let at = lines.at + i32(k);
    return vec4(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}

fn lines_b(group: u32, first: u32) -> Lines {
    let image = p.out_height * p.out_width;
    let at = four(first, p.n - 1u);
    return Lines(
        vec4<i32>((at / image * p.groups + group) * (p.channels * p.height * p.width)),
        vec4<i32>((at % image) / p.out_width * p.stride_y) - i32(p.low_y),
        vec4<i32>((at % p.out_width) * p.stride_x) - i32(p.low_x),
    );
}

fn at_b(lines: Lines, tap: vec3<u32>, is_there: bool) -> vec4<f32> {
    if !is_there { return vec4<f32>(); }
    let iy = lines.y + i32(tap.y * p.dilation_y);
    let ix = lines.x + i32(tap.z * p.dilation_x);
    let inside = (iy >= vec4(0)) & (iy < vec4(i32(p.height))) & (ix >= vec4(0)) & (ix < vec4(i32(p.width)));
    let plane = lines.at + i32(tap.x * p.height * p.width);
    let at = select(vec4(0), plane + iy * i32(p.width) + ix, inside);
    return select(vec4(0.0), vec4(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
}

fn store(group: u32, row: u32, column: u32, values: vec4<f32>) {
    if row >= p.m { return; }
    let image = p.out_height * p.out_width;
    let at = four(column, p.n - 1u);
    let place = ((at / image * p.groups + group) * p.m + row) * image + at % image;
    if column < p.n { y[place.x] = values.x; }
    if column + 1u < p.n { y[place.y] = values.y; }
    if column + 2u < p.n { y[place.z] = values.z; }
    if column + 3u < p.n { y[place.w] = values.w; }
}
