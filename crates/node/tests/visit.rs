//! Visits to a relay made by hand.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::cell::Cell;

use common::{NETWORK, Relay, config, soon, unit, worker};
use shoal_node::VisitError;
use shoal_wire::{
    ids::BlobId,
    proto::{Refusal, RefusalCode, Welcome},
};

#[tokio::test]
async fn a_visitor_fetches_and_leaves_without_having_asked_for_work() {
    let mut relay = Relay::start().await;
    let unit = unit(1);
    relay.store.add(&unit);
    let (visitor, _, _) = worker(config(&relay));
    let id = BlobId::of(&unit.data);
    let welcomed = Cell::new(false);
    let visit = visitor.visit(async |visit| {
        assert!(welcomed.get(), "nothing is done before the welcome");
        visit.fetch(id, 1 << 20).await
    });
    let host = async {
        let (mut peer, _) = relay.accept().await;
        welcomed.set(true);
        peer.send(&Welcome { network: NETWORK.into(), relay_agent: "test".into(), max_leases: 16 }).await;
        let last = soon(peer.reader.next()).await;
        assert!(!matches!(last, Ok(Some(_))), "a visitor says nothing after its hello: {last:?}");
    };
    let (visited, ()) = futures::join!(soon(visit), host);
    assert_eq!(visited.unwrap().unwrap(), unit.data);
}

#[tokio::test]
async fn a_visitor_that_is_not_welcome_is_told_why() {
    let mut relay = Relay::start().await;
    let (visitor, _, _) = worker(config(&relay));
    let visit = visitor.visit(async |_| unreachable!("it has no session"));
    let host = async {
        let (mut peer, _) = relay.accept().await;
        peer.send(&Refusal { code: RefusalCode::JoinProof as i32, detail: "wrong".into() }).await;
        let _ = soon(peer.reader.next()).await;
    };
    let (visited, ()) = futures::join!(soon(visit), host);
    let refused: Result<(), VisitError> = visited;
    assert!(matches!(refused, Err(VisitError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_blob_that_the_relay_does_not_have_is_an_error_of_the_visitor_alone() {
    let mut relay = Relay::start().await;
    let (visitor, _, _) = worker(config(&relay));
    let visit = visitor.visit(async |visit| visit.fetch(BlobId([1; 32]), 1 << 20).await);
    let (visited, _peer) = futures::join!(soon(visit), relay.welcome());
    let blob = visited.unwrap();
    assert!(matches!(blob, Err(VisitError::Blob(_))), "{blob:?}");
}
