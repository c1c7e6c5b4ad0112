//! Max pooling over square windows that do not overlap. A tie goes to the first element in row-major order of the
//! window, and a NaN never wins against an earlier element.

/// Sizes of a pooling.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) size: usize,
}

impl Pool {
    fn out_height(&self) -> usize {
        self.height / self.size
    }

    fn out_width(&self) -> usize {
        self.width / self.size
    }

    /// Index of the greatest element of the window at (oy, ox) of one image.
    fn winner(&self, image: &[f32], oy: usize, ox: usize) -> usize {
        let first = oy * self.size * self.width + ox * self.size;
        let mut best = first;
        for y in 0..self.size {
            for x in 0..self.size {
                let at = first + y * self.width + x;
                if image[at] > image[best] {
                    best = at;
                }
            }
        }
        best
    }

    /// y \[n, c, h / size, w / size\].
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut y = Vec::with_capacity(x.len() / (self.size * self.size));
        for image in x.chunks(self.height * self.width) {
            for oy in 0..self.out_height() {
                y.extend((0..self.out_width()).map(|ox| image[self.winner(image, oy, ox)]));
            }
        }
        y
    }

    /// dx \[n, c, h, w\].
    pub(crate) fn grad(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut dx = vec![0.0; x.len()];
        let image_len = self.height * self.width;
        let out_len = self.out_height() * self.out_width();
        for ((image, dx), dy) in x.chunks(image_len).zip(dx.chunks_mut(image_len)).zip(dy.chunks(out_len)) {
            for (position, dy) in dy.iter().enumerate() {
                dx[self.winner(image, position / self.out_width(), position % self.out_width())] = *dy;
            }
        }
        dx
    }
}
