//! Products by tiles: a workgroup computes a block of the result, takes the operands' parts of it through workgroup memory, and
//! an invocation sums four or eight rows by as many columns in registers. Products of matrices and convolutions are the
//! same kernel with other ways to fetch an operand; its text is made for each (`text.rs`).
//!
//! **Choice.** A tile is worth its barriers where it is full and there are enough of them; software adapters run kernels with
//! barriers an order of magnitude slower, so they always take the register kernel. [`Plan::choose`] weighs padding and
//! parallelism by the constants below.

mod text;

/// Which kernels a backend takes. For anything but tests and benches it is [`KernelChoice::ByShape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KernelChoice {
    /// What suits the shape and the adapter.
    #[default]
    ByShape,
    /// Kernels without workgroup memory.
    Registers,
    /// Kernels with workgroup memory, products by tiles of that size.
    Tiles(TileSize),
}

/// Sizes of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileSize {
    /// 32 by 32 on 64 invocations of 4 by 4.
    Small,
    /// 64 by 64 on 128 invocations of 8 by 4.
    Medium,
    /// 128 by 128 on 256 invocations of 8 by 8: as many invocations and bytes as WebGPU guarantees.
    Large,
}

/// Depth of a tile: with it the invocations are just as many as the 4 × 4 blocks that they fetch.
pub(super) const DEPTH: u32 = 16;

impl TileSize {
    /// All, from the smallest.
    pub const ALL: [TileSize; 3] = [TileSize::Small, TileSize::Medium, TileSize::Large];

    /// Rows of a tile, and columns.
    pub(super) fn extent(self) -> u32 {
        match self {
            TileSize::Small => 32,
            TileSize::Medium => 64,
            TileSize::Large => 128,
        }
    }

    /// Vectors of four rows and of four columns that an invocation has.
    fn quads(self) -> [u32; 2] {
        match self {
            TileSize::Small => [1, 1],
            TileSize::Medium => [2, 1],
            TileSize::Large => [2, 2],
        }
    }

    pub(super) fn invocations(self) -> u32 {
        2 * self.extent()
    }

    /// How fast a full tile is next to a large one: products an invocation makes with what it reads of workgroup memory.
    fn speed(self) -> f64 {
        match self {
            TileSize::Small => 0.5,
            TileSize::Medium => 0.75,
            TileSize::Large => 1.0,
        }
    }
}

/// Speed of the register kernel next to a large tile.
const REGISTERS_SPEED: f64 = 0.2;
/// Workgroups that fill a GPU: about two for every multiprocessor of a large one.
const ENOUGH_WORKGROUPS: u64 = 256;
/// Invocations of the register kernel that do.
const ENOUGH_INVOCATIONS: u64 = 1 << 15;
/// Depth that a part of a split sum has at least, so that writing and adding the parts is little beside the products.
const LEAST_CHUNK: u32 = 256;
/// Parts of a sum at most.
const MAX_CHUNKS: u32 = 32;

/// Sizes of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: u32,
    pub(super) m: u32,
    pub(super) n: u32,
    pub(super) k: u32,
}

/// How a product is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) size: TileSize,
    /// Parts of the sum over the depth, and the depth of each.
    pub(super) chunks: u32,
    pub(super) chunk: u32,
}

impl Cut {
    /// The tiles that suit a product, or none where the register kernel does.
    pub(super) fn choose(sizes: Sizes, choice: KernelChoice, is_fallback: bool) -> Option<Self> {
        match choice {
            KernelChoice::Tiles(size) => Some(Self::of(sizes, size)),
            KernelChoice::ByShape if !is_fallback => Self::fastest(sizes),
            KernelChoice::Registers | KernelChoice::ByShape => None,
        }
    }

    fn fastest(sizes: Sizes) -> Option<Self> {
        let registers = {
            let invocations = u64::from(sizes.batch) * tiles(sizes.m, 4) * tiles(sizes.n, 4);
            let share = invocations as f64 / ENOUGH_INVOCATIONS as f64;
            (16 * invocations) as f64 / (REGISTERS_SPEED * share.min(1.0))
        };
        let cost = |cut: &Self| {
            let (groups, extent) = (sizes.groups(cut.size), u64::from(cut.size.extent()));
            let share = (groups * u64::from(cut.chunks)) as f64 / ENOUGH_WORKGROUPS as f64;
            (groups * extent * extent) as f64 / (cut.size.speed() * share.min(1.0))
        };
        let cuts = TileSize::ALL.map(|size| Self::of(sizes, size));
        let best = cuts.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("there are sizes");
        (cost(&best) < registers).then_some(best)
    }

    fn of(sizes: Sizes, size: TileSize) -> Self {
        let wanted = ENOUGH_WORKGROUPS.div_ceil(sizes.groups(size)) as u32;
        let chunks = wanted.min(sizes.k / LEAST_CHUNK).clamp(1, MAX_CHUNKS);
        let chunk = sizes.k.div_ceil(chunks).next_multiple_of(DEPTH);
        Self { size, chunks: sizes.k.div_ceil(chunk), chunk }
    }

    /// Workgroups of the kernel.
    pub(super) fn workgroups(self, sizes: Sizes) -> u64 {
        sizes.groups(self.size) * u64::from(self.chunks)
    }

    /// The first parameters of every kernel.
    pub(super) fn words(self, sizes: Sizes) -> [u32; 6] {
        [sizes.m, sizes.n, sizes.k, sizes.batch, self.chunks, self.chunk]
    }
}

impl Sizes {
    fn groups(self, size: TileSize) -> u64 {
        u64::from(self.batch) * tiles(self.m, size.extent()) * tiles(self.n, size.extent())
    }
}

fn tiles(extent: u32, tile: u32) -> u64 {
    u64::from(extent.div_ceil(tile))
}

/// How neighbouring invocations fetch an operand: along what lies together in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Along {
    /// Along rows of A or columns of B.
    Lines,
    /// Along what is summed over.
    Depth,
}

/// A matrix as it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Side {
    pub(super) along: Along,
    /// Whether four neighbours are one aligned vector.
    pub(super) is_aligned: bool,
}

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Product {
    Floats { a: Side, b: Side, is_result_aligned: bool },
    Conv2d,
    Conv2dGradInput,
    Conv2dGradWeight,
}

/// A kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TileKernel {
    pub(super) size: TileSize,
    pub(super) product: Product,
}

impl TileKernel {
    /// The whole text after the common part.
    pub(super) fn source(self) -> String {
        text::source(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(batch: u32, m: u32, n: u32, k: u32) -> Option<Cut> {
        Cut::choose(Sizes { batch, m, n, k }, KernelChoice::ByShape, false)
    }

    #[test]
    fn a_tile_fits_what_webgpu_guarantees() {
        for size in TileSize::ALL {
            assert!(size.invocations() <= 256);
            assert!(2 * size.extent() * DEPTH * 4 <= 16 << 10);
            let [rows, columns] = size.quads();
            assert_eq!(size.invocations(), size.extent() * size.extent() / (16 * rows * columns));
        }
    }

    #[test]
    fn the_shape_decides() {
        assert_eq!(chosen(1, 4096, 4096, 4096), Some(Cut { size: TileSize::Large, chunks: 1, chunk: 4096 }));
        assert_eq!(chosen(1, 1024, 1024, 1024).map(|cut| cut.size), Some(TileSize::Large));
        // A tile would be padding for the most part.
        assert_eq!(chosen(1, 5, 100_000, 64), None);
        // Few results of long sums are split.
        let gradient = chosen(1, 64, 64, 65_536).unwrap();
        assert!(gradient.chunks > 8, "{gradient:?}");
        assert!(u64::from(gradient.chunks) * u64::from(gradient.chunk) >= 65_536);
        let sizes = Sizes { batch: 1, m: 4096, n: 4096, k: 4096 };
        assert_eq!(Cut::choose(sizes, KernelChoice::ByShape, true), None, "software runs barriers slowly");
        assert_eq!(Cut::choose(sizes, KernelChoice::Registers, false), None);
    }
}
