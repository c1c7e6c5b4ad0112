//! The contracts, the bindings and the local chain together, against a real anvil.
//!
//! Skipped, with the reason printed, where no anvil is installed; `SHOAL_REQUIRE_ANVIL` makes that a failure.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use shoal_chain::{
    ChainClient, ChainError, ClaimOutcome, DeployTerms, Deployment, OperatorKey, Posting, Revert, Rewards, Timeouts,
    anvil::{self, LocalChain, LocalChainError},
};
use shoal_ledger::{BaseUnits, Claim, Epoch, EpochEntry, EvmAddress, NodeHash, outbox::PostedEpoch};

const TERMS: DeployTerms = DeployTerms { supply: BaseUnits(1_000_000), budget: BaseUnits(1_000), relay: None };

fn binary() -> Option<PathBuf> {
    match anvil::find() {
        Ok(path) => Some(path),
        Err(reason) if env::var_os("SHOAL_REQUIRE_ANVIL").is_none() => {
            println!("SKIPPED: {reason}");
            None
        }
        Err(reason) => panic!("{reason}"),
    }
}

fn node(id: u8) -> NodeHash {
    NodeHash([id; 32])
}

fn payout(id: u8) -> EvmAddress {
    EvmAddress::new([id; 20]).unwrap()
}

/// Nodes 1, 2, … with these cumulative amounts.
fn epoch(number: u64, amounts: &[u128]) -> Epoch {
    let entry = |(id, &amount)| EpochEntry { node: node(id), payout: payout(id), cumulative: BaseUnits(amount) };
    Epoch::new(number, (1..).zip(amounts).map(entry).collect()).unwrap()
}

fn claim(epoch: &Epoch, id: u8) -> Claim {
    epoch.claims(&node(id)).remove(0)
}

fn in_force(epoch: &Epoch) -> Option<PostedEpoch> {
    Some(PostedEpoch { number: epoch.number(), root: epoch.root(), total: epoch.total() })
}

async fn post(rewards: &Rewards, epoch: &Epoch) -> Result<Posting, ChainError> {
    rewards.post_root(epoch.number(), epoch.root(), epoch.total()).await
}

async fn paid(rewards: &Rewards, claim: &Claim) -> u128 {
    let ClaimOutcome { paid, sent } = rewards.claim(claim).await.unwrap();
    assert_eq!(sent.is_some(), paid > BaseUnits::ZERO, "a transaction exactly when something is owed");
    paid.0
}

async fn deploy(chain: &LocalChain) -> Rewards {
    let client = ChainClient::connect(chain.url(), &LocalChain::developer_key()).await.unwrap();
    let deployment = client.deploy(&TERMS).await.unwrap();
    client.rewards(&deployment).await.unwrap()
}

#[tokio::test]
async fn epochs_are_posted_and_claimed() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = LocalChain::start(&binary, &folder.path().join("state.json"), 0).await.unwrap();
    let rewards = deploy(&chain).await;
    let account = rewards.client().account().unwrap();
    assert_eq!(rewards.budget().await, Ok(TERMS.budget));
    assert_eq!(rewards.balance(account).await, Ok(BaseUnits(999_000)));
    assert_eq!(rewards.posted().await, Ok(None));
    assert!(rewards.client().gas_balance(account).await.unwrap() > 0);

    let first = epoch(1, &[10, 20, 30]);
    let too_early = Err(ChainError::StaleClaim { claim_epoch: 1, current: 0 });
    assert_eq!(rewards.claim(&claim(&first, 1)).await, too_early);
    assert!(matches!(post(&rewards, &first).await, Ok(Posting::Posted(_))));
    assert_eq!(rewards.posted().await, Ok(in_force(&first)));
    assert_eq!(post(&rewards, &first).await, Ok(Posting::AlreadyPosted));
    assert_eq!(paid(&rewards, &claim(&first, 1)).await, 10);
    assert_eq!(paid(&rewards, &claim(&first, 1)).await, 0);

    let second = epoch(4, &[15, 20, 45, 1]);
    assert!(matches!(post(&rewards, &second).await, Ok(Posting::Posted(_))));
    assert_eq!(rewards.claim(&claim(&first, 2)).await, Err(ChainError::StaleClaim { claim_epoch: 1, current: 4 }));
    let each = [5, 20, 45, 1];
    for (id, owed) in (1..).zip(each) {
        assert_eq!(paid(&rewards, &claim(&second, id)).await, owed);
        assert_eq!(paid(&rewards, &claim(&second, id)).await, 0);
    }
    for (id, cumulative) in (1..).zip([15, 20, 45, 1]) {
        assert_eq!(rewards.balance(payout(id)).await, Ok(BaseUnits(cumulative)));
        assert_eq!(rewards.claimed(&node(id), payout(id)).await, Ok(BaseUnits(cumulative)));
    }
    assert_eq!(rewards.total_paid().await, Ok(second.total()));
    assert_eq!(rewards.budget().await, Ok(BaseUnits(TERMS.budget.0 - second.total().0)));
}

#[tokio::test]
async fn what_must_not_happen_is_refused_by_name() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = LocalChain::start(&binary, &folder.path().join("state.json"), 0).await.unwrap();
    let rewards = deploy(&chain).await;
    let current = epoch(5, &[10, 20]);
    post(&rewards, &current).await.unwrap();
    let posted = in_force(&current).unwrap();

    let taken = |asked| Err(ChainError::EpochTaken { asked, posted });
    assert_eq!(post(&rewards, &epoch(5, &[11, 20])).await, taken(5));
    assert_eq!(post(&rewards, &epoch(4, &[10, 20])).await, taken(4));
    let reverted = |revert| Err(ChainError::Reverted { call: "postRoot", revert });
    let decreased = Revert::TotalDecreased { posted: BaseUnits(29), current: BaseUnits(30) };
    assert_eq!(post(&rewards, &epoch(6, &[29])).await, reverted(decreased));
    let rich = epoch(6, &[10, 1_000]);
    let underfunded = Revert::Underfunded { owed: BaseUnits(1_010), balance: TERMS.budget };
    assert_eq!(post(&rewards, &rich).await, reverted(underfunded));
    rewards.fund(BaseUnits(10)).await.unwrap();
    assert!(matches!(post(&rewards, &rich).await, Ok(Posting::Posted(_))));
    assert!(matches!(
        rewards.fund(BaseUnits(1_000_000)).await,
        Err(ChainError::Reverted { revert: Revert::InsufficientTokens { .. }, .. })
    ));
    let forged = Claim { cumulative: BaseUnits(500), ..claim(&rich, 1) };
    assert_eq!(rewards.claim(&forged).await, Err(ChainError::StaleClaim { claim_epoch: 6, current: 6 }));

    // The second account of the development mnemonic has gas and no role.
    let stranger: OperatorKey = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d".parse().unwrap();
    let account = stranger.address();
    let client = ChainClient::connect(chain.url(), &stranger).await.unwrap();
    let theirs = client.rewards(rewards.deployment()).await.unwrap();
    assert_eq!(post(&theirs, &epoch(7, &[10, 1_000])).await, reverted(Revert::NotAuthorized { account }));
    assert_eq!(paid(&theirs, &claim(&rich, 2)).await, 1_000, "anyone may claim for anyone");

    let reader = ChainClient::read_only(chain.url()).await.unwrap();
    let reading = reader.rewards(rewards.deployment()).await.unwrap();
    assert_eq!(reading.posted().await, Ok(in_force(&rich)));
    assert_eq!(post(&reading, &epoch(7, &[10, 1_000])).await, Err(ChainError::ReadOnly { call: "postRoot" }));
    assert_eq!(reader.deploy(&TERMS).await, Err(ChainError::ReadOnly { call: "deploy" }));

    let deployment = Deployment { chain_id: 1, ..*rewards.deployment() };
    let wrong = ChainError::WrongChain { deployment: 1, connected: reader.chain_id() };
    assert_eq!(reader.rewards(&deployment).await.err(), Some(wrong));
    let deployment = Deployment { distributor: payout(9), ..*rewards.deployment() };
    let missing = ChainError::NoContract { address: payout(9), chain_id: reader.chain_id() };
    assert_eq!(reader.rewards(&deployment).await.err(), Some(missing));
}

#[tokio::test]
async fn a_relay_may_be_another_account_than_the_deployer() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = LocalChain::start(&binary, &folder.path().join("state.json"), 0).await.unwrap();
    let relay: OperatorKey = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d".parse().unwrap();
    let deployer = ChainClient::connect(chain.url(), &LocalChain::developer_key()).await.unwrap();
    let deployment = deployer.deploy(&DeployTerms { relay: Some(relay.address()), ..TERMS }).await.unwrap();

    let only = epoch(1, &[3]);
    let by_deployer = post(&deployer.rewards(&deployment).await.unwrap(), &only).await;
    let account = deployer.account().unwrap();
    let revert = Revert::NotAuthorized { account };
    assert_eq!(by_deployer, Err(ChainError::Reverted { call: "postRoot", revert }));
    let client = ChainClient::connect(chain.url(), &relay).await.unwrap();
    let by_relay = post(&client.rewards(&deployment).await.unwrap(), &only).await;
    assert!(matches!(by_relay, Ok(Posting::Posted(_))));
}

#[tokio::test]
async fn claims_of_one_client_do_not_get_in_each_others_way() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = LocalChain::start(&binary, &folder.path().join("state.json"), 0).await.unwrap();
    let rewards = deploy(&chain).await;
    let only = epoch(1, &[1, 2, 3, 4, 5]);
    post(&rewards, &only).await.unwrap();
    let tasks: Vec<_> = (1..=5u8)
        .map(|id| {
            let (rewards, claim) = (rewards.clone(), claim(&only, id));
            tokio::spawn(async move { rewards.claim(&claim).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(rewards.total_paid().await, Ok(only.total()));
}

#[tokio::test]
async fn an_epoch_posted_twice_at_once_is_posted_once() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let chain = LocalChain::start(&binary, &folder.path().join("state.json"), 0).await.unwrap();
    let rewards = deploy(&chain).await;
    let client = ChainClient::connect(chain.url(), &LocalChain::developer_key()).await.unwrap();
    let again = client.rewards(rewards.deployment()).await.unwrap();
    for number in 1..=5 {
        let next = epoch(number, &[number.into()]);
        let (one, other) = tokio::join!(post(&rewards, &next), post(&again, &next));
        let mut posted = 0;
        for outcome in [one, other] {
            match outcome {
                Ok(Posting::Posted(_)) => posted += 1,
                Ok(Posting::AlreadyPosted) => {}
                // The transaction pool held the very same transaction and no block did yet.
                Err(ChainError::Refused { .. }) => assert_eq!(post(&again, &next).await, Ok(Posting::AlreadyPosted)),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(posted, 1, "epoch {number}");
        assert_eq!(rewards.posted().await, Ok(in_force(&next)));
    }
}

#[tokio::test]
async fn a_stopped_chain_keeps_its_state() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("new folder/state.json");
    let chain = LocalChain::start(&binary, &state, 0).await.unwrap();
    let rewards = deploy(&chain).await;
    let (deployment, first) = (*rewards.deployment(), epoch(1, &[10, 20]));
    post(&rewards, &first).await.unwrap();
    assert_eq!(paid(&rewards, &claim(&first, 1)).await, 10);
    let url = chain.url().to_owned();
    chain.stop().unwrap();
    let gone = ChainClient::read_only(&url).await.err();
    assert!(matches!(gone, Some(ChainError::Unreachable { .. })), "{gone:?}");

    let chain = LocalChain::start(&binary, &state, 0).await.unwrap();
    check_after_restart(&chain, &deployment, &first).await;
}

/// After a restart of a chain where `first` was posted and only node 1 claimed.
async fn check_after_restart(chain: &LocalChain, deployment: &Deployment, first: &Epoch) {
    let client = ChainClient::connect(chain.url(), &LocalChain::developer_key()).await.unwrap();
    let rewards = client.rewards(deployment).await.unwrap();
    assert_eq!(rewards.posted().await, Ok(in_force(first)));
    assert_eq!(rewards.balance(payout(1)).await, Ok(BaseUnits(10)));
    assert_eq!(paid(&rewards, &claim(first, 1)).await, 0);
    assert_eq!(paid(&rewards, &claim(first, 2)).await, 20);
    let second = epoch(2, &[11, 20]);
    assert!(matches!(post(&rewards, &second).await, Ok(Posting::Posted(_))));
    assert_eq!(paid(&rewards, &claim(&second, 1)).await, 1);
}

const VICTIM_STATE: &str = "SHOAL_TEST_VICTIM_STATE";

/// Not a test of its own: the process that `a_killed_owner_takes_its_chain_along` starts and kills.
#[tokio::test]
#[ignore = "started as a process by a_killed_owner_takes_its_chain_along"]
async fn victim() {
    let state = PathBuf::from(env::var_os(VICTIM_STATE).unwrap());
    let chain = LocalChain::start(&binary().unwrap(), &state, 0).await.unwrap();
    let rewards = deploy(&chain).await;
    let first = epoch(1, &[10, 20]);
    post(&rewards, &first).await.unwrap();
    rewards.claim(&claim(&first, 1)).await.unwrap();
    let deployment = rewards.deployment();
    let [token, distributor] = [deployment.token, deployment.distributor];
    std::fs::write(
        state.with_extension("ready"),
        format!("{} {token} {distributor} {} {}", deployment.chain_id, deployment.block, chain.url()),
    )
    .unwrap();
    std::future::pending::<()>().await;
}

async fn read_when_complete(path: &Path) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while Instant::now() < deadline {
        let words: Vec<_> =
            std::fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if words.len() == 5 {
            return words;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the victim wrote nothing");
}

#[cfg(unix)]
#[tokio::test]
async fn a_killed_owner_takes_its_chain_along() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored"])
        .env(VICTIM_STATE, &state)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let words = read_when_complete(&state.with_extension("ready")).await;
    let deployment = Deployment {
        chain_id: words[0].parse().unwrap(),
        token: words[1].parse().unwrap(),
        distributor: words[2].parse().unwrap(),
        block: words[3].parse().unwrap(),
    };
    victim.kill().unwrap();
    victim.wait().unwrap();

    // Waits for the orphan to write its state and go.
    let chain = LocalChain::start(&binary, &state, 0).await.unwrap();
    let gone = ChainClient::read_only(&words[4]).await.err();
    assert!(matches!(gone, Some(ChainError::Unreachable { .. })), "{gone:?}");
    check_after_restart(&chain, &deployment, &epoch(1, &[10, 20])).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_chain_that_cannot_start_says_why() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    std::fs::write(&state, "not a state").unwrap();
    let ended = LocalChain::start(&binary, &state, 0).await.err();
    assert!(matches!(&ended, Some(LocalChainError::Ended { log, .. }) if !log.is_empty()), "{ended:?}");

    let nothing = folder.path().join("nothing");
    let ended = LocalChain::start(&nothing, &folder.path().join("other.json"), 0).await.err();
    assert!(matches!(&ended, Some(LocalChainError::Ended { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_chain_that_is_away_is_named() {
    for url in ["", "127.0.0.1:1", "ws://127.0.0.1:1"] {
        let error = ChainClient::read_only(url).await.err();
        assert_eq!(error, Some(ChainError::InvalidUrl { url: url.to_owned() }));
    }
    // A listener that never answers, and then none.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let timeouts = Timeouts { call: Duration::from_millis(100), ..Timeouts::default() };
    let error = ChainClient::connect_with(&url, None, timeouts).await.err().unwrap();
    assert_eq!(error, ChainError::Timeout { call: "chain id", after: timeouts.call });
    assert!(error.is_transient());
    drop(listener);
    let error = ChainClient::read_only(&url).await.err().unwrap();
    assert!(matches!(&error, ChainError::Unreachable { detail, .. } if detail.contains("refused")), "{error}");
    assert!(error.is_transient());
}

#[test]
fn a_deployment_file_is_read_back() {
    let deployment = Deployment { chain_id: 31337, token: payout(1), distributor: payout(2), block: 7 };
    let text = serde_json::to_string(&deployment).unwrap();
    assert_eq!(serde_json::from_str::<Deployment>(&text).unwrap(), deployment);
    assert!(serde_json::from_str::<Deployment>(&text.replace("block", "bloc")).is_err());
}
