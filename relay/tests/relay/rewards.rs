//! Receipts become epochs on a real development chain, and claims pay exactly what was verified.

use std::{path::PathBuf, time::Duration};

use crate::common::{self, TestRelay, submit_points, worker::TestWorker};
use shoal_chain::{ChainClient, anvil::LocalChain};
use shoal_ledger::{Claim, EvmAddress, reward};
use shoal_node::Payout;
use shoal_wire::api::{JoinInfo, RewardsInfo};

async fn wait<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + common::PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verified_work_is_paid_on_chain_and_a_restart_pays_nothing_twice() {
    let Ok(anvil) = shoal_chain::anvil::find() else {
        // Whoever runs the tests through `cargo xtask test` has it; the queueing below is tested everywhere.
        eprintln!("no anvil on this machine");
        return;
    };
    let chained = |config: &mut shoal_relay::config::Config| {
        config.rewards = true;
        config.anvil = Some(anvil.clone());
        config.epoch = Duration::from_secs(1);
    };
    let relay = TestRelay::start_with(chained).await;
    let chain = wait(async || relay.api.get("/v1/join").await.json::<JoinInfo>().await.unwrap().chain).await;
    let payout = |byte| Payout { address: [byte; 20], chain_id: chain.chain_id };
    let paid = TestWorker::start_with(&relay.api, 1, |config| config.payout = Some(payout(0x11)));
    let unbound = TestWorker::start(&relay.api, 2);
    relay.api.connected(2).await;
    let job = submit_points(&relay.api, 2, |_| ()).await;
    let status = relay.api.finished(job).await;
    let ops = |node| status.workers.iter().find(|row| row.node == node).map_or(0, |row| row.verified_ops);

    let info = wait(async || {
        let info: RewardsInfo = relay.api.get(&format!("/v1/rewards?node={}", paid.node)).await.json().await.unwrap();
        (info.claims.first()?.cumulative == info.payable).then_some(info)
    })
    .await;
    assert_eq!(info.payable, reward(ops(paid.node)).to_string());
    let held: RewardsInfo = relay.api.get(&format!("/v1/rewards?node={}", unbound.node)).await.json().await.unwrap();
    assert_eq!((held.held, held.claims.len()), (reward(ops(unbound.node)).to_string(), 0));

    let claim: Claim = serde_json::from_value(serde_json::to_value(&info.claims[0]).unwrap()).unwrap();
    let deployment = std::fs::read(relay.dir.path().join("chain/deployment.json")).unwrap();
    let deployment = serde_json::from_slice(&deployment).unwrap();
    let client = ChainClient::connect(&chain.rpc_url, &LocalChain::developer_key()).await.unwrap();
    let rewards = client.rewards(&deployment).await.unwrap();
    assert_eq!(rewards.claim(&claim).await.unwrap().paid, reward(ops(paid.node)));
    let address = EvmAddress::new([0x11; 20]).unwrap();
    assert_eq!(rewards.balance(address).await.unwrap(), reward(ops(paid.node)));
    let epoch = rewards.posted().await.unwrap().unwrap().number;

    drop((paid, unbound));
    let relay = TestRelay::start_in(relay.stop().await, chained).await;
    let chain = wait(async || relay.api.get("/v1/join").await.json::<JoinInfo>().await.unwrap().chain).await;
    let again: RewardsInfo = relay.api.get("/v1/rewards").await.json().await.unwrap();
    assert_eq!(
        (again.epoch, again.claims),
        (epoch, info.claims.clone()),
        "the same epoch, derived again from the receipts"
    );
    let client = ChainClient::read_only(&chain.rpc_url).await.unwrap();
    let rewards = client.rewards(&deployment).await.unwrap();
    assert_eq!(rewards.balance(address).await.unwrap(), reward(ops_of(&info)), "the chain's state stayed");
    relay.stop().await;
}

fn ops_of(info: &RewardsInfo) -> u64 {
    let base_units: u128 = info.payable.parse().unwrap();
    u64::try_from(base_units / shoal_ledger::BASE_UNITS_PER_OPERATION).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_chain_receipts_queue_and_work_goes_on() {
    let relay = TestRelay::start_with(|config| {
        config.rewards = true;
        config.anvil = Some(PathBuf::from("/nonexistent/anvil"));
        config.epoch = Duration::from_secs(1);
    })
    .await;
    let _worker = TestWorker::start(&relay.api, 1);
    let job = submit_points(&relay.api, 2, |_| ()).await;
    relay.api.finished(job).await;
    wait(async || {
        let metrics = relay.api.get("/metrics").await.text().await.unwrap();
        metrics.contains("shoal_relay_outbox_depth 8\n").then_some(())
    })
    .await;
    assert!(relay.api.get("/v1/join").await.json::<JoinInfo>().await.unwrap().chain.is_none());
    relay.stop().await;
}
