//! `shoal work`: a worker on this machine's CPU.

use std::{
    cell::Cell,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use libp2p::Multiaddr;
use serde_json::json;
use shoal_chain::EvmAddress;
use shoal_node::{
    Devices, DiskStorage, Event, NativeHttp, Payout, Reach, Stats, TokioPlatform, Worker, WorkerConfig,
    native_transport,
};
use shoal_transport::race::Kind;
use shoal_wire::{proto::Class, version::DEFAULT_NETWORK};

use crate::{
    args::{ClassArg, WorkArgs},
    error::CliError,
    files,
    link::{JoinLink, parse_secret},
    output::Output,
    relay_api::RelayApi,
    up::Signals,
};

/// Receipts kept, one JSON object a line.
const RECEIPTS_FILE: &str = "receipts.jsonl";

pub(crate) async fn run(args: WorkArgs, output: &Output) -> Result<(), CliError> {
    let dir = args.data_dir.clone().unwrap_or_else(files::default_worker_dir);
    std::fs::create_dir_all(&dir).map_err(files::io_error(&dir))?;
    let config = configure(&args, files::secret(&dir.join("node-key"))?).await?;
    let transport = native_transport(&Worker::<TokioPlatform, shoal_compute::CpuBackend>::keypair(&config.seed));
    let view = View::new(*output, dir.join(RECEIPTS_FILE));
    let mut signals = Signals::new().map_err(files::io_error(Path::new("signals")))?;
    let stored_bytes = config.stored_bytes;
    let reach = if config.is_relay_near() { Reach::Anywhere } else { Reach::Public };
    let (mut worker, handle) =
        Worker::new(config, TokioPlatform::new(), transport, Devices::cpu(), move |event| view.show(&event))?;
    if stored_bytes > 0 {
        let folder = args.cache_dir.clone().unwrap_or_else(|| dir.join("blobs"));
        let storage = DiskStorage::open(folder.clone()).map_err(files::io_error(&folder))?;
        worker = worker.with_storage(Box::new(storage));
    }
    match NativeHttp::new(reach) {
        Ok(http) => worker = worker.with_http(Rc::new(http)),
        Err(error) => tracing::warn!(%error, "no HTTPS sources: the relay sends everything"),
    }
    handle.set_throttle(args.share);
    output.text(format!("worker {}; Ctrl-C stops it", worker.node_id()));
    tokio::spawn(async move {
        loop {
            // The second request does not wait for results that are being judged.
            signals.next().await;
            handle.stop();
        }
    });
    Ok(worker.run().await?)
}

async fn configure(args: &WorkArgs, seed: [u8; 32]) -> Result<WorkerConfig, CliError> {
    let (mut config, chain_id) = match &args.join {
        Some(link) => {
            let link = JoinLink::parse(link)?;
            let info = RelayApi::at(&link.url, None).join_info().await?;
            // What they cannot dial would only slow them down.
            let mut known = addresses("--join", info.addresses.iter())?;
            known.retain(|address| matches!(Kind::of(address), Some(Kind::Quic | Kind::Tcp)));
            let mut config = WorkerConfig::new(seed, known);
            config.network = info.network;
            config.join_secret = link.secret;
            (config, info.chain.map(|chain| chain.chain_id))
        }
        None => {
            let mut config = WorkerConfig::new(seed, addresses("--relay", args.relay.iter())?);
            config.network = args.network.clone().unwrap_or_else(|| DEFAULT_NETWORK.to_owned());
            (config, None)
        }
    };
    if let Some(secret) = &args.secret {
        config.join_secret = Some(parse_secret(secret)?);
    }
    if let Some(address) = &args.payout {
        config.payout = Some(payout(address, args.chain_id.or(chain_id))?);
    }
    if !(args.share > 0.0 && args.share <= 1.0) {
        let (value, reason) = (args.share.to_string(), "allowed is above 0 to 1".to_owned());
        return Err(CliError::Argument { argument: "--share", value, reason });
    }
    config.agent = concat!("shoal/", env!("CARGO_PKG_VERSION")).to_owned();
    let class = |class: &ClassArg| match class {
        ClassArg::Exact => Class::Exact,
        ClassArg::Tolerant => Class::Tolerant,
    };
    config.loopback_sources = config.is_relay_here();
    config.stored_bytes = args.cache_bytes.unwrap_or(config.stored_bytes);
    (config.max_down, config.max_up) = (args.max_down, args.max_up);
    config.classes = args.classes.iter().map(class).collect();
    config.budget.reference_ops = args.max_unit_ops.unwrap_or(config.budget.reference_ops);
    let memory = args.memory_mib.map(|mib| mib.saturating_mul(1024 * 1024));
    config.budget.memory_bytes = memory.unwrap_or(config.budget.memory_bytes);
    #[cfg(feature = "cheat")]
    {
        config.cheat = args.cheat;
    }
    Ok(config)
}

fn addresses<'a>(argument: &'static str, texts: impl Iterator<Item = &'a String>) -> Result<Vec<Multiaddr>, CliError> {
    let parse = |text: &String| {
        text.parse().map_err(|error: libp2p::multiaddr::Error| CliError::Argument {
            argument,
            value: text.clone(),
            reason: error.to_string(),
        })
    };
    texts.map(parse).collect()
}

fn payout(address: &str, chain_id: Option<u64>) -> Result<Payout, CliError> {
    let wrong = |reason: String| CliError::Argument { argument: "--payout", value: address.to_owned(), reason };
    let parsed: EvmAddress = address.parse().map_err(|error| wrong(format!("{error}")))?;
    let chain_id = chain_id.ok_or_else(|| wrong("the relay names no chain: add --chain-id".to_owned()))?;
    Ok(Payout { address: *parsed.as_bytes(), chain_id })
}

/// Shows events and keeps receipts.
struct View {
    output: Output,
    receipts: PathBuf,
    bar: ProgressBar,
    totals: Cell<Stats>,
}

impl View {
    fn new(output: Output, receipts: PathBuf) -> Self {
        let bar = if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed");
        let bar = bar.with_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { output, receipts, bar, totals: Cell::default() }
    }

    fn show(&self, event: &Event) {
        self.output.object(event);
        if let Event::Accepted { unit, receipt } = event {
            let line = json!({"unit": unit, "receipt": receipt});
            if let Err(error) = append(&self.receipts, &line.to_string()) {
                tracing::error!(%error, file = %self.receipts.display(), "receipt not kept");
            }
        }
        if self.output.is_json() {
            return;
        }
        match event {
            Event::Connecting { attempt } => self.bar.set_message(format!("connecting, attempt {}", attempt + 1)),
            Event::Connected { relay, network, transport, .. } => {
                self.say(format!("connected to relay {} of {network} over {transport}", relay.short()));
            }
            Event::Waiting { reason } => self.bar.set_message(format!("waiting: {reason}")),
            Event::Stats(stats) => {
                self.totals.set(*stats);
                self.bar.set_message(summary(stats));
            }
            Event::Rejected { outcome, reason, .. } => self.say(format!("rejected: {outcome}: {reason}")),
            Event::Refused { code, detail } => self.say(format!("refused: {code}: {detail}")),
            Event::BadReceipt { reason } => self.say(format!("receipt not believed: {reason}")),
            Event::Returned { reason, .. } => self.say(format!("lease given back: {reason}")),
            Event::Disconnected { reason, retry_ms } => {
                self.say(format!("disconnected ({reason}), again in {:.1} s", *retry_ms as f64 / 1000.0));
            }
            Event::Stopped => {
                self.bar.finish_and_clear();
                self.output.text(format!("stopped: {}", summary(&self.totals.get())));
            }
            Event::BulkRate { .. }
            | Event::Leased { .. }
            | Event::Computing { .. }
            | Event::Committed { .. }
            | Event::Accepted { .. } => {}
        }
    }
}

impl View {
    /// A line above the bar, or just a line where there is no terminal for one.
    fn say(&self, text: String) {
        if self.bar.is_hidden() { self.output.text(text) } else { self.bar.println(text) }
    }
}

fn summary(stats: &Stats) -> String {
    format!(
        "{} units accepted ({} operations), {} pending, {} rejected",
        stats.accepted_units, stats.verified_ops, stats.pending_units, stats.rejected_units
    )
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")
}
