//! Attention in one pass, as in FlashAttention (Dao et al. 2022, arXiv 2205.14135): a workgroup has a block of queries, goes
//! through the keys in blocks, and keeps of each row its greatest score, its sum and its weighted values; the matrix of
//! scores is never in memory. What the graph does between product and softmax (a scale, a mask) is computed on the block.

use std::fmt::Write as _;

use shoal_graph::{Graph, Node, Op};

use super::{Device, Dispatch, Operand, Plan, elementwise::LoopText};
use crate::{
    executable::{
        attention::Attention,
        loops::{Loop, Operand as LoopOperand},
    },
    webgpu::{kernel::Kernel, tile::KernelChoice},
};

/// Keys of a block; invocations of a workgroup, 16 over keys or columns by 8 over rows.
const KEYS: u32 = 64;
const INVOCATIONS: u32 = 128;
/// Depth and keys that are in workgroup memory at once.
const DEPTH: u32 = 16;
/// Longest vectors: what an invocation sums in registers grows with those of v.
const MAX_VECTOR: u32 = 128;
/// Queries from which on a block of them is worth it: below, most of it would be empty.
const MIN_QUERIES: u32 = 16;

/// Sizes of an attention.
struct Sizes {
    heads: u32,
    queries: u32,
    keys: u32,
    depth: u32,
    width: u32,
}

impl Sizes {
    fn new(graph: &Graph, scores: &Node, context: &Node) -> Self {
        let shape = |node: &Node| graph.value_type(node.output).shape.clone();
        let depth = graph.value_type(scores.inputs[0]).shape.last().copied().unwrap_or(1);
        let (scores, context) = (shape(scores), shape(context));
        let [heads @ .., queries, keys] = &scores[..] else { unreachable!("a product has two dimensions at least") };
        let width = context.last().copied().unwrap_or(1);
        Self { heads: heads.iter().product(), queries: *queries, keys: *keys, depth, width }
    }
}

/// Queries of a block: as many as workgroup memory holds with their weights.
fn block(device: Device, width: u32) -> u32 {
    let bytes = |rows: u32| 16 * (weights_len(rows) + tiles_len(rows, width));
    if bytes(64) <= device.max_workgroup_bytes { 64 } else { 32 }
}

/// Vectors of a block's weights.
fn weights_len(rows: u32) -> u32 {
    rows / 4 * KEYS
}

/// Vectors of what is multiplied at once: queries and keys, or values, and the partial maxima and sums.
fn tiles_len(rows: u32, width: u32) -> u32 {
    ((rows + KEYS) / 4 * DEPTH).max(DEPTH * width.next_multiple_of(KEYS) / 4).max(INVOCATIONS * (rows / 32))
}

/// Whether the kernel takes it, and takes it gladly.
pub(super) fn suits(
    graph: &Graph,
    device: Device,
    numbers: &[Option<u32>],
    (scores, context): (&Node, &Node),
    chain: Option<&Loop>,
) -> bool {
    let sizes = Sizes::new(graph, scores, context);
    let bound = chain.map_or(0, |chain| {
        let is_bound = |value: &&LoopOperand| numbers[value.value.index()].is_none();
        chain.operands.iter().filter(is_bound).count()
    });
    // With the scores among the chain's operands: three more operands, and the result.
    let fits = sizes.depth <= MAX_VECTOR && sizes.width <= MAX_VECTOR && bound + 4 <= device.max_storage_buffers;
    let is_wanted = match device.choice {
        KernelChoice::Tiles(_) => true,
        KernelChoice::Registers => false,
        // Browsers' compilers have not been seen to take it: SwiftShader needs longer than a test may.
        KernelChoice::ByShape => {
            cfg!(not(target_arch = "wasm32")) && !device.is_fallback && sizes.queries >= MIN_QUERIES
        }
    };
    fits && is_wanted
}

/// The dispatch of an attention.
pub(super) fn plan(graph: &Graph, device: Device, attention: &Attention, numbers: &[Option<u32>]) -> Plan {
    let (scores, context) = (&graph.nodes()[attention.scores], &graph.nodes()[attention.context]);
    let sizes = Sizes::new(graph, scores, context);
    let (Op::MatMul { trans_b: trans_k, .. }, Op::MatMul { trans_b: trans_v, .. }) = (&scores.op, &context.op) else {
        unreachable!("an attention is made of products")
    };
    let k = if *trans_k { [sizes.depth, 1] } else { [1, sizes.keys] };
    let v = if *trans_v { [1, sizes.keys] } else { [sizes.width, 1] };
    let Sizes { heads, queries, keys, depth, width } = sizes;
    let parameters = vec![heads, queries, keys, depth, width, k[0], k[1], v[0], v[1], 0, 0, 0];
    let inner = match &attention.chain {
        Some(chain) => LoopText::new(graph, chain, numbers, 5, parameters, Some(scores.output)),
        None => {
            LoopText { bindings: String::new(), parameters, operands: Vec::new(), body: "let y0 = score;\n".to_owned() }
        }
    };
    let rows = block(device, width);
    let text = text(rows, width, &inner);
    let values = [scores.inputs[0], scores.inputs[1], context.inputs[1]].map(Operand::Value);
    let dispatch = Dispatch {
        kernel: Kernel::Attention(text.into()),
        parameters: inner.parameters,
        results: vec![Operand::Value(context.output)],
        operands: values.into_iter().chain(inner.operands).collect(),
        workgroups: u64::from(heads) * u64::from(queries.div_ceil(rows)),
    };
    Plan { made: vec![context.output], dispatches: vec![dispatch], ..Plan::default() }
}

/// The kernel for blocks of so many rows. Sums are vectors over four rows, so that a row's maximum and sum are lanes.
fn text(rows: u32, width: u32, inner: &LoopText) -> String {
    let (row_quads, columns) = (rows / 32, width.next_multiple_of(KEYS) / 16);
    let high = rows / 4;
    let all = |f: &dyn Fn(u32) -> String| (0..row_quads).map(f).collect::<String>();
    let each = |count: u32, f: &dyn Fn(u32, u32) -> String| {
        (0..row_quads).flat_map(|quad| (0..count).map(move |i| (quad, i))).map(|(q, i)| f(q, i)).collect::<String>()
    };
    let mut products = String::new();
    for step in 0..DEPTH {
        let mut line = |text: String| writeln!(products, "{text}").expect("a string takes everything");
        line(format!("let k{step} = tiles[{}u + {}u + wide];", DEPTH * high, step * KEYS / 4));
        for quad in 0..row_quads {
            line(format!("let q{step}_{quad} = tiles[{}u + high];", step * high + quad * 8));
            for (key, lane) in ["x", "y", "z", "w"].iter().enumerate() {
                line(format!("s{quad}_{key} = fma(vec4(k{step}.{lane}), q{step}_{quad}, s{quad}_{key});"));
            }
        }
    }
    let mut sums = String::new();
    for key in 0..DEPTH {
        let mut line = |text: String| writeln!(sums, "{text}").expect("a string takes everything");
        for column in 0..columns / 4 {
            let at = key * columns * 4 + column * 16;
            line(format!("let v{key}_{column} = tiles[{at}u + wide];"));
        }
        for quad in 0..row_quads {
            line(format!("let w{key}_{quad} = weights[(first + {key}u) * {high}u + {}u + high];", quad * 8));
            for column in 0..columns {
                let lane = ["x", "y", "z", "w"][column as usize % 4];
                line(format!(
                    "o{quad}_{column} = fma(vec4(v{key}_{}.{lane}), w{key}_{quad}, o{quad}_{column});",
                    column / 4
                ));
            }
        }
    }
    let reduced = |name: &str, value: &str, combine: &dyn Fn(&str, &str) -> String| {
        let write = all(&|q| format!("tiles[{}u + local] = {value}{q};\n", q * INVOCATIONS));
        let read = all(&|q| {
            let next = combine(&format!("{name}{q}"), &format!("tiles[{}u + local - wide + i]", q * INVOCATIONS));
            format!("{name}{q} = {next};\n")
        });
        format!("workgroupBarrier();\n{write}workgroupBarrier();\nfor (var i = 0u; i < 16u; i++) {{\n{read}}}\n")
    };
    let greatest = reduced("next", "own", &|a, b| format!("max({a}, {b})"));
    let totals = reduced("total", "part", &|a, b| format!("{a} + {b}"));
    let chained = each(4, &|q, key| {
        let lane = |i: u32| {
            format!(
                "masked(head, first_row + {}u + high * 4u + {i}u, first_key + wide * 4u + {key}u, s{q}_{key}[{i}])",
                q * 32
            )
        };
        let lanes = (0..4).map(lane).collect::<Vec<_>>().join(", ");
        format!("s{q}_{key} = vec4({lanes});\nown{q} = max(own{q}, s{q}_{key});\n")
    });
    let weights = each(4, &|q, key| {
        format!(
            "s{q}_{key} = select(exp(s{q}_{key} - next{q}), vec4(0.0), s{q}_{key} <= vec4(LEAST));
part{q} += s{q}_{key};
weights[(wide * 4u + {key}u) * {high}u + {}u + high] = s{q}_{key};
",
            q * 8
        )
    });
    let rescaled = each(columns, &|q, column| format!("o{q}_{column} *= factor{q};\n"));
    let stores = each(columns, &|q, column| {
        let (column, lane) = (column / 4 * 64 + column % 4, column);
        format!("store(head, first_row + {}u + high * 4u, wide * 4u + {column}u, o{q}_{lane} / sum{q});\n", q * 32)
    });
    let loop_over_values = DEPTH * columns * 4;
    format!(
        "@group(0) @binding(0) var<uniform> p: array<vec4<u32>, {vectors}>;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> k: array<f32>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
{bindings}
// The least float: a masked score, whose weight is 0. WGSL may take infinities for anything.
const LEAST = -3.4028234e38;

var<workgroup> weights: array<vec4<f32>, {weights_len}>;
var<workgroup> tiles: array<vec4<f32>, {tiles_len}>;

fn chained(i: u32, score: f32) -> f32 {{
{body}return y0;
}}

fn masked(head: u32, row: u32, key: u32, score: f32) -> f32 {{
    if row >= p[0].y || key >= p[0].z {{ return LEAST; }}
    return max(chained((head * p[0].y + row) * p[0].z + key, score), LEAST);
}}

fn store(head: u32, row: u32, column: u32, values: vec4<f32>) {{
    if column >= p[1].x {{ return; }}
    for (var i = 0u; i < 4u && row + i < p[0].y; i++) {{
        result[(head * p[0].y + row + i) * p[1].x + column] = values[i];
    }}
}}

// Four queries, or keys, at one depth.
fn queries(head: u32, row: u32, depth: u32) -> vec4<f32> {{
    if depth >= p[0].w {{ return vec4<f32>(); }}
    let at = (head * p[0].y + min(vec4(row, row + 1u, row + 2u, row + 3u), vec4(p[0].y - 1u))) * p[0].w + depth;
    return vec4(q[at.x], q[at.y], q[at.z], q[at.w]);
}}

fn keys(head: u32, key: u32, depth: u32) -> vec4<f32> {{
    if depth >= p[0].w {{ return vec4<f32>(); }}
    let at = head * p[0].z * p[0].w + min(vec4(key, key + 1u, key + 2u, key + 3u), vec4(p[0].z - 1u)) * p[1].y + depth * p[1].z;
    return vec4(k[at.x], k[at.y], k[at.z], k[at.w]);
}}

// Four columns of a value.
fn values(head: u32, key: u32, column: u32) -> vec4<f32> {{
    if key >= p[0].z {{ return vec4<f32>(); }}
    let at = head * p[0].z * p[1].x + key * p[1].w
        + min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(p[1].x - 1u)) * p[2].x;
    return vec4(v[at.x], v[at.y], v[at.z], v[at.w]);
}}

@compute @workgroup_size({INVOCATIONS})
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {{
    let index = workgroup.y * workgroups.x + workgroup.x;
    let blocks = (p[0].y + {last_row}u) / {rows}u;
    let head = index / blocks;
    if head >= p[0].x {{ return; }}
    let first_row = index % blocks * {rows}u;
    let wide = local % 16u;
    let high = local / 16u;
{start}
    for (var first_key = 0u; first_key < p[0].z; first_key += {KEYS}u) {{
{scores}
        for (var depth = 0u; depth < p[0].w; depth += {DEPTH}u) {{
            workgroupBarrier();
            for (var i = local; i < {query_vectors}u; i += {INVOCATIONS}u) {{
                tiles[i] = queries(head, first_row + i % {high}u * 4u, depth + i / {high}u);
            }}
            for (var i = local; i < {key_vectors}u; i += {INVOCATIONS}u) {{
                tiles[{query_vectors}u + i] = keys(head, first_key + i % 16u * 4u, depth + i / 16u);
            }}
            workgroupBarrier();
{products}
        }}
{owns}{chained}{greatest}{weights}{factors}{totals}{kept}{rescaled}
        for (var first = 0u; first < {KEYS}u; first += {DEPTH}u) {{
            workgroupBarrier();
            for (var i = local; i < {loop_over_values}u; i += {INVOCATIONS}u) {{
                tiles[i] = values(head, first_key + first + i / {value_quads}u, i % {value_quads}u * 4u);
            }}
            workgroupBarrier();
{sums}
        }}
    }}
{stores}}}
",
        vectors = inner.parameters.len() / 4,
        bindings = inner.bindings,
        body = inner.body,
        weights_len = weights_len(rows),
        tiles_len = tiles_len(rows, width),
        last_row = rows - 1,
        query_vectors = DEPTH * high,
        key_vectors = DEPTH * KEYS / 4,
        value_quads = columns * 4,
        start = all(&|q| format!("var greatest{q} = vec4(LEAST);\nvar sum{q} = vec4<f32>();\n"))
            + &each(columns, &|q, column| format!("var o{q}_{column} = vec4<f32>();\n")),
        scores = each(4, &|q, key| format!("var s{q}_{key} = vec4<f32>();\n")),
        owns = all(&|q| format!("var own{q} = vec4(LEAST);\nvar next{q} = greatest{q};\nvar part{q} = vec4<f32>();\n")),
        factors = all(&|q| {
            format!("let factor{q} = exp(greatest{q} - next{q});\ngreatest{q} = next{q};\nvar total{q} = vec4<f32>();\n")
        }),
        kept = all(&|q| format!("sum{q} = sum{q} * factor{q} + total{q};\n")),
    )
}
