// dx [n, c, h, w]: rows are input channels of a group, columns positions of all samples, the depth weights of a channel, which
// lie (output channel, ky, kx).

@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

fn lines_a(group: u32, first: u32) -> Lines {
    let rows = four(first, p.m - 1u) + group * p.outputs * p.m;
    return Lines(vec4<i32>(rows * p.kernel_height * p.kernel_width), vec4<i32>(), vec4<i32>());
}

fn at_a(lines: Lines, tap: vec3<u32>, is_there: bool) -> vec4<f32> {
    if !is_there { return vec4<f32>(); }
    let at = lines.at + i32((tap.x * p.m * p.kernel_height + tap.y) * p.kernel_width + tap.z);
    return vec4(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}

fn lines_b(group: u32, first: u32) -> Lines {
    let image = p.height * p.width;
    let at = four(first, p.n - 1u);
    return Lines(
        vec4<i32>((at / image * p.groups + group) * (p.outputs * p.out_height * p.out_width)),
        vec4<i32>((at % image) / p.width + p.low_y),
        vec4<i32>(at % p.width + p.low_x),
    );
}

fn at_b(lines: Lines, tap: vec3<u32>, is_there: bool) -> vec4<f32> {
    if !is_there { return vec4<f32>(); }
    let from_y = lines.y - i32(tap.y * p.dilation_y);
    let from_x = lines.x - i32(tap.z * p.dilation_x);
    let oy = from_y / i32(p.stride_y);
    let ox = from_x / i32(p.stride_x);
    let inside = (from_y >= vec4(0)) & (oy * i32(p.stride_y) == from_y) & (oy < vec4(i32(p.out_height)))
        & (from_x >= vec4(0)) & (ox * i32(p.stride_x) == from_x) & (ox < vec4(i32(p.out_width)));
    let plane = lines.at + i32(tap.x * p.out_height * p.out_width);
    let at = select(vec4(0), plane + oy * i32(p.out_width) + ox, inside);
    return select(vec4(0.0), vec4(dy[at.x], dy[at.y], dy[at.z], dy[at.w]), inside);
}

fn store(group: u32, row: u32, column: u32, values: vec4<f32>) {
    if row >= p.m { return; }
    let image = p.height * p.width;
    let at = four(column, p.n - 1u);
    let place = ((at / image * p.groups + group) * p.m + row) * image + at % image;
    if column < p.n { dx[place.x] = values.x; }
    if column + 1u < p.n { dx[place.y] = values.y; }
    if column + 2u < p.n { dx[place.z] = values.z; }
    if column + 3u < p.n { dx[place.w] = values.w; }
}
