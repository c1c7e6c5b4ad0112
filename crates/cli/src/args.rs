//! What the command line accepts. The comments are the help texts.

use std::{net::IpAddr, path::PathBuf, str::FromStr};

use clap::{Parser, Subcommand};
use shoal_wire::ids::JobId;

use crate::{
    model::args::QuantizeArgs,
    rows::{FormatArg, ModelArgs, OutputArgs, RowsArgs, TextArgs},
};

/// Turns browser tabs into one machine for AI: run a swarm, submit jobs, work, and claim what was earned
#[derive(Debug, Parser)]
#[command(name = "shoal", version)]
pub(crate) struct Args {
    /// One JSON object a line on standard output instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a relay, serves the volunteer page and prints a join link
    Up(UpArgs),
    /// Submits jobs and looks after them
    #[command(subcommand)]
    Job(JobCommand),
    /// Runs an ONNX model over many rows on a swarm
    Map(Box<MapArgs>),
    /// Shows what a model needs, or runs it here
    #[command(subcommand)]
    Model(ModelCommand),
    /// Finds the rows of a text whose vectors are nearest to a question's
    Search(Box<SearchArgs>),
    /// Works for a swarm with this machine
    Work(WorkArgs),
    /// Sets up a chain for rewards
    #[command(subcommand)]
    Chain(ChainCommand),
    /// Shows and claims rewards
    #[command(subcommand)]
    Rewards(RewardsCommand),
}

/// How to reach a relay's HTTP API.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RelayArgs {
    /// URL of the relay's HTTP side
    #[arg(long, env = "SHOAL_RELAY_URL", value_name = "URL", default_value = "http://127.0.0.1:7040")]
    pub(crate) relay_url: String,
    /// File with the operator's token, for a relay that does not listen on loopback
    #[arg(long, env = "SHOAL_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Port of the page and the API; 0 picks free ones for everything
    #[arg(long, env = "SHOAL_PORT", default_value_t = 7040)]
    pub(crate) port: u16,
    /// Port of the swarm, TCP and UDP, and with the next one for QUIC and WebSocket; one above --port unless given
    #[arg(long)]
    pub(crate) swarm_port: Option<u16>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Folder of the volunteer page; `web/dist` here or beside the program unless given
    #[arg(long, value_name = "DIR")]
    pub(crate) web_dir: Option<PathBuf>,
    /// Folder of keys, database and blobs; made if missing
    #[arg(long, value_name = "DIR", default_value = "shoal-data")]
    pub(crate) data_dir: PathBuf,
    /// Lets anybody join who can reach the relay, instead of those with the link
    #[arg(long)]
    pub(crate) open: bool,
    /// The relay program; `shoal-relay` beside this one unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) relay_program: Option<PathBuf>,
    /// Further flags for the relay, after `--`; see `shoal-relay --help`
    #[arg(last = true, value_name = "RELAY FLAGS")]
    pub(crate) relay_args: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Reads a job file, uploads its data and submits it
    Submit {
        /// TOML file with model, data and training
        file: PathBuf,
        /// Stays until the job ends and shows how it goes
        #[arg(long)]
        watch: bool,
        /// Checks everything here and submits nothing
        #[arg(long, conflicts_with = "watch")]
        check: bool,
        #[command(flatten)]
        relay: RelayArgs,
    },
    /// Shows how a job goes until it ends
    Watch {
        /// Job id
        job: JobId,
        #[command(flatten)]
        relay: RelayArgs,
    },
    /// Downloads a job's model (safetensors)
    Fetch {
        /// Job id
        job: JobId,
        /// File to write
        #[arg(long, short, value_name = "FILE", default_value = "model.safetensors")]
        output: PathBuf,
        #[command(flatten)]
        relay: RelayArgs,
    },
    /// Ends a job; accepted units stay paid
    Cancel {
        /// Job id
        job: JobId,
        #[command(flatten)]
        relay: RelayArgs,
    },
    /// Lists jobs
    List {
        #[command(flatten)]
        relay: RelayArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(crate) rows: RowsArgs,
    /// Goes on where a killed command left off; without one, begins
    #[arg(long)]
    pub(crate) resume: bool,
    /// Name of the job; the model's file and the input's unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) relay: RelayArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Shows inputs, outputs, operators, and what one run costs
    Inspect {
        /// ONNX model or safetensors file
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        #[command(flatten)]
        weights: ModelArgs,
        /// Size of a symbol, as batch=8, or shape of an input, as pixels=1x3x224x224; may be repeated
        #[arg(long, value_name = "NAME=SIZE", value_delimiter = ',')]
        size: Vec<SizeArg>,
    },
    /// Runs rows through a model on this machine, one row a result
    Run(Box<RowsArgs>),
    /// Writes a model as integers, which has the same bits on every machine, and says how far it is from what it was
    Quantize(Box<QuantizeArgs>),
}

/// Size of a symbol, or shape of an input.
#[derive(Clone, Debug)]
pub(crate) struct SizeArg {
    pub(crate) name: String,
    pub(crate) shape: Vec<u32>,
}

impl FromStr for SizeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no size; write one as batch=8 or pixels=1x3x224x224");
        let (name, numbers) = text.rsplit_once('=').ok_or_else(refused)?;
        let shape: Result<Vec<u32>, _> = numbers.split('x').map(str::parse).collect();
        match shape {
            Ok(shape) if !name.is_empty() && !shape.contains(&0) => Ok(Self { name: name.to_owned(), shape }),
            _ => Err(refused()),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    /// Vectors that a model made of the rows of a text: .npy, .jsonl or .parquet
    #[arg(value_name = "VECTORS")]
    pub(crate) vectors: PathBuf,
    /// What is looked for, in words
    #[arg(value_name = "QUESTION")]
    pub(crate) question: String,
    /// The ONNX model that made the vectors
    #[arg(long, value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// The text that the vectors were made of, to show what was found
    #[arg(long, value_name = "INPUT")]
    pub(crate) input: Option<PathBuf>,
    /// What the input is read as, instead of what its ending says
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
    /// Plain text has a row a line, not a row a paragraph
    #[arg(long)]
    pub(crate) lines: bool,
    /// Rows to show
    #[arg(long, short = 'n', value_name = "ROWS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    #[command(flatten)]
    pub(crate) weights: ModelArgs,
    #[command(flatten)]
    pub(crate) text: TextArgs,
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    /// Join link of a swarm, or URL of its relay
    #[arg(long, value_name = "LINK", required_unless_present = "relay")]
    pub(crate) join: Option<String>,
    /// Multiaddress of the relay, ending in /p2p/<peer id>; may be repeated
    #[arg(long, value_name = "MULTIADDR", conflicts_with = "join")]
    pub(crate) relay: Vec<String>,
    /// Network name, with --relay
    #[arg(long, value_name = "NAME", conflicts_with = "join")]
    pub(crate) network: Option<String>,
    /// Secret of a private swarm, base64url or hexadecimal; a join link has it already
    #[arg(long, env = "SHOAL_JOIN_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,
    /// EVM address that is paid, 0x…
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) payout: Option<String>,
    /// EVM chain of the payout address; the relay's unless given
    #[arg(long, value_name = "ID", requires = "payout")]
    pub(crate) chain_id: Option<u64>,
    /// Folder of this worker's key and receipts; made if missing
    #[arg(long, env = "SHOAL_WORKER_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Classes of units to take: exact, tolerant
    #[arg(long, value_name = "CLASS", value_delimiter = ',', default_value = "exact,tolerant")]
    pub(crate) classes: Vec<ClassArg>,
    /// Share of the time spent computing, above 0 to 1
    #[arg(long, default_value_t = 1.0)]
    pub(crate) share: f64,
    /// Largest unit to take, reference operations
    #[arg(long, value_name = "OPS")]
    pub(crate) max_unit_ops: Option<u64>,
    /// Memory for one unit, MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_mib: Option<u64>,
    /// Folder where blobs are kept between runs; `blobs` in the worker's folder unless given
    #[arg(long, env = "SHOAL_CACHE_DIR", value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Most bytes to keep there, for instance 500MB or 2GiB; 0 keeps nothing
    #[arg(long, value_name = "BYTES", value_parser = crate::units::bytes)]
    pub(crate) cache_bytes: Option<u64>,
    /// Most to download in a second, for instance 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = crate::units::bytes)]
    pub(crate) max_down: Option<u64>,
    /// Most to upload in a second, for instance 500kB or 2MiB
    #[arg(long, value_name = "BYTES", value_parser = crate::units::bytes)]
    pub(crate) max_up: Option<u64>,
    /// Test-only misbehaviour: zeros, flipped-sign, one-entry-off, replayed-result or copied-commitment
    #[cfg(feature = "cheat")]
    #[arg(long, value_name = "KIND")]
    pub(crate) cheat: Option<shoal_node::cheat::Cheat>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ClassArg {
    /// Bit-identical on every machine
    Exact,
    /// Within a bound of the reference
    Tolerant,
}

/// Who pays for transactions.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// File with the hexadecimal secp256k1 key that pays for transactions
    #[arg(long, env = "SHOAL_CHAIN_KEY_FILE", value_name = "FILE", required_unless_present = "dev_key")]
    pub(crate) key_file: Option<PathBuf>,
    /// Uses the public key of development chains (anvil's first account)
    #[arg(long, conflicts_with = "key_file")]
    pub(crate) dev_key: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Deploys the reward token and the distributor, and funds it
    Deploy {
        /// JSON-RPC URL of the chain
        #[arg(long, env = "SHOAL_CHAIN_URL", value_name = "URL", default_value = "http://127.0.0.1:8545")]
        rpc_url: String,
        #[command(flatten)]
        key: KeyArgs,
        /// Address that may post epochs; the deployer's unless given
        #[arg(long, value_name = "ADDRESS")]
        relay_address: Option<String>,
        /// File to write the contracts' addresses to, for the relay's --deployment
        #[arg(long, short, value_name = "FILE", default_value = "deployment.json")]
        output: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RewardsCommand {
    /// Shows what was earned, and what of it is claimable and paid
    Show {
        #[command(flatten)]
        whose: WhoseArgs,
        #[command(flatten)]
        relay: RelayArgs,
    },
    /// Has the chain pay what is claimable; anybody may pay the gas for anybody
    Claim {
        #[command(flatten)]
        whose: WhoseArgs,
        #[command(flatten)]
        relay: RelayArgs,
        #[command(flatten)]
        key: KeyArgs,
    },
}

/// Whose rewards; everybody's unless given.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhoseArgs {
    /// Node id, 64 hexadecimal digits
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Payout address, 0x…
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) payout: Option<String>,
    /// JSON-RPC URL of the chain; the relay's unless given
    #[arg(long, env = "SHOAL_CHAIN_URL", value_name = "URL")]
    pub(crate) rpc_url: Option<String>,
}
