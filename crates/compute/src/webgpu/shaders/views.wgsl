// Tensors by strides. A view is a vector (rank, position of the first element) and one vector (extent, stride) for each
// axis from the innermost.

fn at(view: u32, position: u32) -> u32 {
    var left = position;
    var place = i32(p[view].y);
    for (var axis = view + 1u; axis <= view + p[view].x; axis++) {
        let extent = p[axis].x;
        place += i32(left % extent) * i32(p[axis].y);
        left /= extent;
    }
    return u32(place);
}
