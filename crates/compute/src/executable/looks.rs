//! How much of a graph planning looks at, counted in tests. A graph may come from a stranger and have as many nodes as the limits
//! allow: planning it must cost a few looks a node, whatever its shape.

#[cfg(test)]
thread_local! {
    static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts looks at nodes, values, groups or instructions.
#[inline(always)]
pub(super) fn look(count: usize) {
    #[cfg(test)]
    LOOKS.with(|looks| looks.set(looks.get() + count));
    #[cfg(not(test))]
    let _ = count;
}

/// Looks since the last call.
#[cfg(test)]
pub(super) fn taken() -> usize {
    LOOKS.with(|looks| looks.replace(0))
}
