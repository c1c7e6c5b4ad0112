//! The outbox: closes an epoch every so often and at the end of a job, and tells the chain the newest one. Killed at any
//! point it goes on from what the store and the chain say.

use std::{path::PathBuf, sync::Arc, time::Duration};

use shoal_ledger::outbox::{EpochRecord, PostedEpoch, Step, next_step};
use shoal_wire::{api::JobState, ids::JobId};
use tokio::sync::{Mutex, broadcast::error::RecvError, watch};

use super::{
    Book, BookError,
    chain::{ChainError, Opened, open},
};
use crate::{config::Config, context::Context, swarm::Membership};

/// Why a post was not made.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error(transparent)]
    Chain(#[from] shoal_chain::ChainError),
    #[error("the chain is ahead of the store at epoch {}: posting stops until somebody has looked", .0.number)]
    ChainAhead(PostedEpoch),
    #[error("the chain has another root for epoch {number}: posting stops until somebody has looked", number = .0.number)]
    RootDiffers(EpochRecord),
}

/// Keeps the book and posts epochs until `stop` changes.
pub async fn run(
    context: Arc<Context>,
    book: Arc<Mutex<Book>>,
    membership: Arc<Membership>,
    config: Config,
    folder: PathBuf,
    mut stop: watch::Receiver<bool>,
) {
    let mut chain = None;
    let mut try_chain = config.rewards;
    let mut progress = context.progress();
    loop {
        if chain.is_none() && try_chain {
            let opened = tokio::select! {
                opened = open(&config, &folder) => opened,
                _ = stop.changed() => break,
            };
            match opened {
                Ok(opened) => chain = Some(ready(&context, &membership, opened)),
                Err(error) => {
                    try_chain = error.may_pass();
                    queueing(&error, try_chain);
                }
            }
        }
        // Interrupting a post is harmless: the chain is asked what it knows before the next one.
        tokio::select! {
            stepped = step(&context, &book, chain.as_ref()) => if let Err(error) = stepped {
                tracing::error!(%error, "rewards");
            },
            _ = stop.changed() => break,
        }
        if let Ok(depth) = context.store.outbox_depth().await {
            context.metrics.outbox_depth.set(depth as i64);
        }
        tokio::select! {
            () = tokio::time::sleep(config.epoch) => {}
            () = job_ended(&context, &mut progress) => {}
            _ = stop.changed() => break,
        }
    }
    if let Some(Opened { local: Some(local), .. }) = chain {
        // Stopping waits for the chain to write its state.
        let stopped = tokio::task::spawn_blocking(move || local.stop()).await.expect("stopping does not panic");
        if let Err(error) = stopped {
            tracing::warn!(%error, "local chain");
        }
    }
}

fn ready(context: &Context, membership: &Membership, opened: Opened) -> Opened {
    let info = opened.info.clone();
    tracing::info!(chain_id = info.chain_id, distributor = info.distributor, "epochs are posted to the chain");
    // It stays the same chain for as long as the relay runs.
    membership.chain_id.get_or_init(|| info.chain_id);
    context.update_join_info(|join| join.chain = Some(info));
    opened
}

fn queueing(error: &ChainError, again: bool) {
    tracing::warn!(%error, again, "no chain to post to: receipts queue in the store, work goes on");
}

async fn step(context: &Context, book: &Mutex<Book>, chain: Option<&Opened>) -> Result<(), PostError> {
    let store = &context.store;
    let Some(Opened { rewards, .. }) = chain else { return Ok(book.lock().await.refresh(store).await?) };
    // Not locked while the chain is asked: who asks for claims meanwhile gets the old ones.
    book.lock().await.close_epoch(store).await?;
    let newest = store.newest_epoch().await?;
    match next_step(newest, rewards.posted().await?) {
        Step::UpToDate => {}
        Step::Post(record) => {
            let posting = rewards.post_root(record.number, record.root, record.total).await?;
            let total = record.total.display_tokens();
            tracing::info!(epoch = record.number, root = %record.root, total, ?posting, "epoch posted");
        }
        Step::ChainAhead { posted } => return Err(PostError::ChainAhead(posted)),
        Step::RootDiffers { record, .. } => return Err(PostError::RootDiffers(record)),
    }
    match newest {
        Some(record) => Ok(book.lock().await.set_posted(store, &record).await?),
        None => Ok(()),
    }
}

/// Waits until a job has ended.
async fn job_ended(context: &Context, progress: &mut tokio::sync::broadcast::Receiver<JobId>) {
    loop {
        match progress.recv().await {
            Ok(job) => {
                let ended = context
                    .store
                    .job(&job)
                    .await
                    .is_ok_and(|row| row.is_some_and(|row| row.state != JobState::Running));
                if ended {
                    return;
                }
            }
            // Something was missed; looking once too often is harmless.
            Err(RecvError::Lagged(_)) => tokio::time::sleep(LAGGED_PAUSE).await,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Rest after missed notes, so that a busy relay does not read the store without pause.
const LAGGED_PAUSE: Duration = Duration::from_secs(1);
