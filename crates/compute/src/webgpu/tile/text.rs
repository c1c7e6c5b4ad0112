//! The text of a tile kernel.
//!
//! Invocations fetch blocks of 4 lines by 4 deep into registers while the tile before is computed, then write them to
//! workgroup memory, deep by deep, four lines a vector. A vector's place is exclusive-ored with its block's depth, so that
//! blocks of different depth, fetched side by side, are written to different banks. The sums over one tile's depth are
//! spelled out: a compiler that guards loops guards one a tile, not one a step.

use std::fmt::Write as _;

use super::{Along, DEPTH, Product, Side, TileKernel};

/// What a kernel's text is made of.
struct Text {
    /// Parameters after the common ones, bindings, and the functions `lines_a`, `block_a`, `lines_b`, `block_b`, `store`.
    operands: String,
    along: [Along; 2],
}

pub(super) fn source(kernel: TileKernel) -> String {
    let text = match kernel.product {
        Product::Floats { a, b, is_result_aligned } => floats(a, b, is_result_aligned),
        Product::Conv2d => {
            let blocks = by_depth('a') + &by_taps('b', "kernel_height", "kernel_width");
            conv(include_str!("../shaders/tile/conv2d.wgsl"), [Along::Depth, Along::Lines], &blocks)
        }
        Product::Conv2dGradInput => {
            let blocks = ['a', 'b'].map(|side| by_taps(side, "kernel_height", "kernel_width")).concat();
            conv(include_str!("../shaders/tile/conv2d_grad_input.wgsl"), [Along::Depth, Along::Lines], &blocks)
        }
        Product::Conv2dGradWeight => {
            let blocks = ['a', 'b'].map(|side| by_taps(side, "out_height", "out_width")).concat();
            conv(include_str!("../shaders/tile/conv2d_grad_weight.wgsl"), [Along::Depth, Along::Depth], &blocks)
        }
    };
    let extent = kernel.size.extent();
    let [row_quads, column_quads] = kernel.size.quads();
    let (quads, invocations) = (extent / 4, kernel.size.invocations());
    let (high, wide) = (quads / row_quads, quads / column_quads);
    let mut main = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(main, "{text}").expect("a string takes everything");
    for (row, column) in places(row_quads * 4, column_quads) {
        line(format_args!("var s{row}_{column} = vec4<f32>();"));
    }
    line(format_args!("for (var k = first_k; k < end_k; k += {DEPTH}u) {{"));
    line(format_args!("workgroupBarrier();"));
    for i in 0..4 {
        let write = format!("[(of_block + {i}u) * {quads}u + place] = block.k{i};");
        line(format_args!("if is_a {{ tile_a{write} }} else {{ tile_b{write} }}"));
    }
    line(format_args!("workgroupBarrier();"));
    line(format_args!("if k + {DEPTH}u < end_k {{ block = fetch(is_a, lines, k + {DEPTH}u + of_block, end_k); }}"));
    for k in 0..DEPTH {
        let swizzle = k / 4 * 2;
        for quad in 0..row_quads {
            let at = k * quads + quad * high;
            line(format_args!("let a{k}_{quad} = tile_a[{at}u + (high ^ {swizzle}u)];"));
        }
        for quad in 0..column_quads {
            let at = k * quads + quad * wide;
            line(format_args!("let b{k}_{quad} = tile_b[{at}u + (wide ^ {swizzle}u)];"));
        }
        for (row, column) in places(row_quads * 4, column_quads) {
            let a = format!("a{k}_{}.{}", row / 4, ["x", "y", "z", "w"][row as usize % 4]);
            let (sum, b) = (format!("s{row}_{column}"), format!("b{k}_{column}"));
            line(format_args!("{sum} = fma(vec4({a}), {b}, {sum});"));
        }
    }
    line(format_args!("}}"));
    for (row, column) in places(row_quads * 4, column_quads) {
        let (from_row, from_column) = ((row / 4) * high * 4 + row % 4, column * wide * 4);
        line(format_args!(
            "store(part, first_row + high * 4u + {from_row}u, first_column + wide * 4u + {from_column}u, s{row}_{column});"
        ));
    }
    let place = |along| match along {
        Along::Lines => format!("vec2(own % {quads}u, own / {quads}u)"),
        Along::Depth => format!("vec2(own / {}u, own % {}u)", DEPTH / 4, DEPTH / 4),
    };
    let [of_a, of_b] = text.along.map(place);
    let operands = text.operands;
    format!(
        "{operands}
struct Block {{ k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32> }}

var<workgroup> tile_a: array<vec4<f32>, {tile}>;
var<workgroup> tile_b: array<vec4<f32>, {tile}>;

fn fetch(is_a: bool, lines: Lines, k: u32, end_k: u32) -> Block {{
    if is_a {{
        return block_a(lines, k, end_k);
    }}
    return block_b(lines, k, end_k);
}}

@compute @workgroup_size({invocations})
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {{
    let tiles_wide = (p.n + {last}u) / {extent}u;
    let tiles = tiles_wide * ((p.m + {last}u) / {extent}u);
    let index = workgroup.y * workgroups.x + workgroup.x;
    let part = index / tiles;
    if part >= p.batch * p.chunks {{ return; }}
    let matrix = part % p.batch;
    let first_row = index % tiles / tiles_wide * {extent}u;
    let first_column = index % tiles_wide * {extent}u;
    let first_k = part / p.batch * p.chunk;
    let end_k = min(first_k + p.chunk, p.k);
    let is_a = local < {extent}u;
    let own = local % {extent}u;
    let quad_and_depth = select({of_b}, {of_a}, is_a);
    let of_block = quad_and_depth.y * 4u;
    let place = quad_and_depth.x ^ (quad_and_depth.y * 2u);
    var lines: Lines;
    if is_a {{
        lines = lines_a(matrix, first_row + quad_and_depth.x * 4u);
    }} else {{
        lines = lines_b(matrix, first_column + quad_and_depth.x * 4u);
    }}
    let high = local / {wide}u;
    let wide = local % {wide}u;
    var block = fetch(is_a, lines, first_k + of_block, end_k);
{main}}}
",
        tile = DEPTH * quads,
        last = extent - 1,
    )
}

/// Rows and vectors of columns of an invocation.
fn places(rows: u32, column_quads: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..rows).flat_map(move |row| (0..column_quads).map(move |column| (row, column)))
}

/// Parameters of every kernel; what is special to one follows.
const COMMON: &str = "m: u32, n: u32, k: u32, batch: u32, chunks: u32, chunk: u32,";

/// Four deep of four lines, one depth after the other, by the function `at_…`.
fn by_depth(side: char) -> String {
    let at = (0..4).map(|i| format!("at_{side}(lines, k + {i}u, end_k)")).collect::<Vec<_>>().join(", ");
    format!("fn block_{side}(lines: Lines, k: u32, end_k: u32) -> Block {{ return Block({at}); }}\n")
}

/// A matrix by its strides.
fn side(name: char, side: Side, extent: char) -> String {
    let lines = format!(
        "fn lines_{name}(matrix: u32, first: u32) -> Lines {{
    let lines = min(vec4(first, first + 1u, first + 2u, first + 3u), vec4(p.{extent} - 1u));
    return Lines(matrix * p.{extent} * p.k + lines * p.{name}_line);
}}
"
    );
    let block = match side {
        Side { is_aligned: false, .. } => {
            let four = ["x", "y", "z", "w"].map(|i| format!("{name}[at.{i}]")).join(", ");
            format!(
                "fn at_{name}(lines: Lines, k: u32, end_k: u32) -> vec4<f32> {{
    if k >= end_k {{ return vec4<f32>(); }}
    let at = lines.at + k * p.{name}_depth;
    return vec4({four});
}}
{}",
                by_depth(name)
            )
        }
        // The extent of the lines is a multiple of four, so all four are there or none.
        Side { along: Along::Lines, is_aligned: true } => {
            format!(
                "fn at_{name}(lines: Lines, k: u32, end_k: u32) -> vec4<f32> {{
    if k >= end_k {{ return vec4<f32>(); }}
    return {name}[(lines.at.x + k * p.{name}_depth) / 4u];
}}
{}",
                by_depth(name)
            )
        }
        Side { along: Along::Depth, is_aligned: true } => {
            let load = |i: &str| format!("let {i} = {name}[(lines.at.{i} + k) / 4u];\n");
            let loads = ["x", "y", "z", "w"].map(load).concat();
            let depth = |i: &str| format!("vec4(x.{i}, y.{i}, z.{i}, w.{i})");
            let turned = ["x", "y", "z", "w"].map(depth).join(", ");
            format!(
                "fn block_{name}(lines: Lines, k: u32, end_k: u32) -> Block {{
if k >= end_k {{ return Block(); }}
{loads}return Block({turned});
}}
"
            )
        }
    };
    lines + &block
}

fn array(is_aligned: bool) -> &'static str {
    if is_aligned { "array<vec4<f32>>" } else { "array<f32>" }
}

/// `store` of a result by rows.
fn rows(is_aligned: bool) -> String {
    let scalars = ["x", "y", "z", "w"].into_iter().enumerate();
    let scalars = scalars.map(|(i, l)| format!("if column + {i}u < p.n {{ c[at + {i}u] = values.{l}; }}\n"));
    let write = if is_aligned { "c[at / 4u] = values;\n".to_owned() } else { scalars.collect() };
    format!(
        "@group(0) @binding(1) var<storage, read_write> c: {};
fn store(part: u32, row: u32, column: u32, values: vec4<f32>) {{
if row >= p.m || column >= p.n {{ return; }}
let at = (part * p.m + row) * p.n + column;
{write}}}
",
        array(is_aligned)
    )
}

fn floats(a: Side, b: Side, is_result_aligned: bool) -> Text {
    let operands = format!(
        "struct Params {{ {COMMON} a_line: u32, a_depth: u32, b_line: u32, b_depth: u32 }}
struct Lines {{ at: vec4<u32> }}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: {};
@group(0) @binding(3) var<storage, read> b: {};
{}{}{}",
        array(a.is_aligned),
        array(b.is_aligned),
        side('a', a, 'm'),
        side('b', b, 'n'),
        rows(is_result_aligned)
    );
    Text { operands, along: [a.along, b.along] }
}

/// A convolution: its own functions after its parameters.
fn conv(functions: &str, along: [Along; 2], blocks: &str) -> Text {
    let common =
        include_str!("../shaders/conv2d_common.wgsl").replace("struct Params {", &format!("struct Params {{ {COMMON}"));
    let operands = [&common, include_str!("../shaders/tile/conv2d_taps.wgsl"), functions, blocks].concat();
    Text { operands, along }
}

/// Four deep of four lines of an image, the depth taken apart by these extents.
fn by_taps(side: char, high: &str, wide: &str) -> String {
    let at = (0..4).map(|i| format!("at_{side}(lines, t{i}, k + {i}u < end_k)")).collect::<Vec<_>>().join(", ");
    let next = (1..4).map(|i| format!("let t{i} = next(t{}, p.{high}, p.{wide});\n", i - 1)).collect::<String>();
    format!(
        "fn block_{side}(lines: Lines, k: u32, end_k: u32) -> Block {{
let t0 = split(k, p.{high}, p.{wide});
{next}return Block({at});
}}
"
    )
}
