//! The network between workers and relay: it delays, loses, repeats, and so reorders.

use crate::{
    event::{Event, Queue},
    rng::Rng,
    scenario::Scenario,
};

#[derive(Debug)]
pub(crate) struct Network {
    rng: Rng,
    latency_ms: u64,
    loss_permille: u64,
    repeat_permille: u64,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
}

impl Network {
    pub(crate) fn new(scenario: &Scenario, rng: Rng) -> Self {
        let Scenario { latency_ms, loss_permille, repeat_permille, .. } = *scenario;
        Self { rng, latency_ms, loss_permille, repeat_permille, sent: 0, lost: 0 }
    }

    /// Sends a message: its delivery happens never, once or twice.
    pub(crate) fn send(&mut self, now_ms: u64, queue: &mut Queue, delivery: Event) {
        self.sent += 1;
        if self.rng.chance(self.loss_permille) {
            self.lost += 1;
            return;
        }
        let copies = if self.rng.chance(self.repeat_permille) { 2 } else { 1 };
        for _ in 0..copies {
            let delay_ms = self.rng.range(1, self.latency_ms);
            queue.push(now_ms + delay_ms, delivery);
        }
    }
}
