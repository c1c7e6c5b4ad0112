//! Each kind of cheat does what its name says, so that a relay that catches it has caught that.
#![cfg(all(not(target_arch = "wasm32"), feature = "cheat"))]

mod common;

use common::{Relay, config, reference, soon, unit, worker};
use shoal_compute::{Data, Tensors};
use shoal_node::{Event, cheat::Cheat};
use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, LeaseId},
    proto::{Outcome, Rejection},
};

const LEASE: LeaseId = LeaseId([7; 32]);

fn numbers(output: &[u8]) -> Vec<f32> {
    let tensors = Tensors::from_bytes(output).expect("an output decodes");
    tensors.into_iter().flat_map(|(_, t)| if let Data::F32(data) = t.data() { data.clone() } else { vec![] }).collect()
}

#[tokio::test]
async fn every_cheat_delivers_its_lie() {
    for (name, cheat) in Cheat::ALL {
        let mut relay = Relay::start().await;
        let mut config = config(&relay);
        config.cheat = Some(cheat);
        let (worker, handle, events) = worker(config);
        let node = worker.node_id();
        let unit = unit(2);
        let test = async {
            let mut peer = relay.welcome().await;
            relay.store.add(&unit);
            peer.lease(LEASE, &unit).await;
            let (commit, result, output) = peer.take_result().await;
            let honest = reference(&unit);
            let committed = commit.commitment == commitment(&node, &LEASE, &BlobId::try_from(&result.output).unwrap());
            assert_eq!(committed, cheat != Cheat::CopiedCommitment, "{name}");
            assert_eq!(output == honest, cheat == Cheat::CopiedCommitment, "{name}");
            let (got, want) = (numbers(&output), numbers(&honest));
            assert_eq!(got.len(), want.len(), "{name}: a lie has the right shape");
            let pairs = || got.iter().zip(&want);
            match cheat {
                Cheat::Zeros => assert!(got.iter().all(|x| *x == 0.0)),
                Cheat::FlippedSign => assert!(pairs().all(|(got, want)| *got == -want)),
                Cheat::OneEntryOff => assert_eq!(pairs().filter(|(got, want)| got != want).count(), 1),
                Cheat::ReplayedResult => assert_eq!(output, unit.parameters),
                Cheat::CopiedCommitment => {}
            }
            // Nothing is pending then, and the stop waits for nothing.
            let (lease, outcome) = (LEASE.to_vec(), Outcome::WrongResult as i32);
            peer.send(&Rejection { lease, outcome, reason: String::new() }).await;
            events.wait(|event| matches!(event, Event::Rejected { .. })).await;
            handle.stop();
        };
        futures::join!(soon(worker.run()), test).0.unwrap();
    }
}
