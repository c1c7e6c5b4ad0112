//! The task that owns the coordinator. Everything that happens reaches it as a [`Command`] over one bounded channel, in
//! order; what the coordinator wants done goes out to sessions, judges and averaging tasks. No other task changes the
//! protocol's state, and the state is rebuilt from the store at each start.

mod acceptance;
mod command;
mod jobs;
mod judging;
mod outputs;
mod recovery;
mod sessions;
mod state;

use std::{sync::Arc, time::Instant};

use shoal_mesh::{Coordinator, Input, InputError, TimeMs};
use shoal_wire::ids::BlobId;
use tokio::sync::{Semaphore, mpsc};

pub use command::{Command, EngineHandle, EngineStopped, Outgoing, SessionEnd, SessionId, SessionStart, WorkerMessage};
pub(crate) use jobs::parse;
use state::{ActiveJobs, Leases, Sessions};

use crate::{
    context::Context,
    data_dir::DataDirError,
    plan::PlanError,
    store::{StoreError, blobs::BlobError},
    swarm::Fetcher,
};

/// Commands that may wait for the engine. Sessions stop reading when it is full, so a flood of messages waits in the
/// workers' own links.
const COMMAND_QUEUE: usize = 256;

/// Why the engine stopped. What is in the store is whole; a new start goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob could not be written or read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// No random bytes for lease nonces.
    #[error(transparent)]
    Random(#[from] DataDirError),
    /// A blob that a stored row names is gone.
    #[error("blob {id} is named by the store and is not on disk")]
    MissingBlob {
        /// Which one.
        id: BlobId,
    },
    /// A stored job that cannot be planned again.
    #[error("stored job: {0}")]
    Plan(#[from] PlanError),
}

impl EngineError {
    /// Whether one job's data are at fault: that job fails by name and the relay goes on.
    fn is_the_jobs(&self) -> bool {
        match self {
            Self::MissingBlob { .. } | Self::Plan(_) | Self::Store(StoreError::Corrupt { .. }) => true,
            Self::Blob(error) => matches!(error, BlobError::Damaged { .. }),
            Self::Store(_) | Self::Random(_) => false,
        }
    }
}

/// The engine's state.
pub struct Engine {
    context: Arc<Context>,
    coordinator: Coordinator,
    /// The coordinator's zero.
    origin: Instant,
    commands: mpsc::Receiver<Command>,
    /// Handed to tasks that report back.
    handle: EngineHandle,
    fetcher: Fetcher,
    sessions: Sessions,
    jobs: ActiveJobs,
    leases: Leases,
    /// Verdicts computed at once.
    validators: Arc<Semaphore>,
}

impl Engine {
    /// An engine without jobs, and the handle to send it commands.
    ///
    /// # Errors
    /// [`EngineError::Random`].
    pub fn new(
        context: Arc<Context>,
        fetcher: Fetcher,
        validators: usize,
    ) -> Result<(Self, EngineHandle), EngineError> {
        let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let handle = EngineHandle::new(sender);
        let engine = Self {
            coordinator: Coordinator::new(crate::data_dir::random()?),
            context,
            origin: Instant::now(),
            commands,
            handle: handle.clone(),
            fetcher,
            sessions: Sessions::default(),
            jobs: ActiveJobs::default(),
            leases: Leases::default(),
            validators: Arc::new(Semaphore::new(validators)),
        };
        Ok((engine, handle))
    }

    /// Takes up the jobs in the store, then runs until it is told to shut down.
    ///
    /// # Errors
    /// A store that fails: then nothing may be acknowledged any more, and the relay stops.
    pub async fn run(mut self) -> Result<(), EngineError> {
        self.recover().await?;
        loop {
            let command = match self.coordinator.next_timeout() {
                None => self.commands.recv().await,
                Some(TimeMs(due_ms)) => {
                    let due = self.origin + std::time::Duration::from_millis(due_ms);
                    match tokio::time::timeout_at(due.into(), self.commands.recv()).await {
                        Ok(command) => command,
                        Err(_) => {
                            let _ = self.feed(Input::Tick).await?;
                            continue;
                        }
                    }
                }
            };
            match command {
                None => return Ok(()),
                Some(Command::Shutdown { done }) => {
                    self.sessions.refuse_all(&self.context);
                    // Whoever waits has given up if this fails.
                    let _ = done.send(());
                    return Ok(());
                }
                Some(command) => self.handle_command(command).await?,
            }
        }
    }

    async fn handle_command(&mut self, command: Command) -> Result<(), EngineError> {
        match command {
            Command::Joined(start) => self.joined(start).await,
            Command::Left(end) => self.left(end).await,
            Command::FromWorker { session, worker, message } => self.worker_message(session, worker, message).await,
            Command::StartRound { job } => self.start_round(job).await,
            Command::CancelJob { job, done } => self.cancel_job(job, done).await,
            Command::Judged(judged) => self.judged(judged).await,
            Command::JobFailed { job, reason } => self.fail_job(job, &reason).await,
            Command::Averaged { job, outcome } => self.averaged(job, outcome).await,
            Command::Shutdown { .. } => unreachable!("handled by the loop"),
        }
    }

    /// Feeds one input and acts on everything that comes out of it. Returns whether the coordinator had room for it.
    async fn feed(&mut self, input: Input) -> Result<bool, EngineError> {
        let now = TimeMs(u64::try_from(self.origin.elapsed().as_millis()).expect("less than 584 million years"));
        match self.coordinator.handle_input(now, input) {
            Ok(()) => {}
            // The driver checks before it feeds, so only the coordinator's own limits are left.
            Err(error @ (InputError::TooManyWorkers { .. } | InputError::TooManyJobs { .. })) => {
                tracing::warn!(%error, "input refused");
                return Ok(false);
            }
            Err(error) => unreachable!("the driving contract is kept: {error}"),
        }
        while let Some(output) = self.coordinator.poll_output() {
            self.act(output).await?;
        }
        Ok(true)
    }
}
