//! How fast one webrtc-direct connection between two native processes carries bytes, and what that costs each of them.
//!
//! The program starts itself a second time as the listener and dials it over loopback. For each number of streams it moves
//! `--mib` mebibytes down (listener to dialler) and up, and prints MB/s with the processor time per megabyte of both ends.
//! With `--rtt-ms` or `--loss` the datagrams pass a seeded path of that round trip and loss on the dialler's side; the
//! dialler's processor time then counts the path too and is left out.
//!
//! `--listen` runs the listener alone (it prints its address and ends with its input), `--dial ADDRESS` the dialler alone,
//! so that either can run under a profiler. `--json FILE` writes a list of `{name, subject, value, unit, ratio}`.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

#[cfg(not(target_arch = "wasm32"))]
mod ends;
#[cfg(not(target_arch = "wasm32"))]
mod path;

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    bench::run()
}

#[cfg(not(target_arch = "wasm32"))]
mod bench {
    use std::io::{BufRead as _, BufReader};
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use libp2p::Multiaddr;
    use serde_json::json;

    use crate::ends::{Dialler, Direction, cpu_time, dial, listen};
    use crate::path::{self, Path};

    type Error = Box<dyn std::error::Error>;

    struct Options {
        mib: u64,
        streams: Vec<usize>,
        repeat: u32,
        path: Path,
        json: Option<PathBuf>,
        dial: Option<Multiaddr>,
        listen: bool,
    }

    pub(crate) fn run() -> Result<(), Error> {
        let options = parse()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        if options.listen {
            return runtime.block_on(async {
                tokio::spawn(listen());
                tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
                Ok(())
            });
        }
        let (address, listener) = match options.dial.clone() {
            Some(address) => (address, None),
            None => start_listener()?,
        };
        let result = runtime.block_on(measure(&options, address));
        if let Some(mut listener) = listener {
            listener.kill()?;
            listener.wait()?;
        }
        result
    }

    fn parse() -> Result<Options, Error> {
        use lexopt::prelude::*;
        let mut options = Options {
            mib: 64,
            streams: vec![1, 4, 16],
            repeat: 1,
            path: Path::default(),
            json: None,
            dial: None,
            listen: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("mib") => options.mib = parser.value()?.parse()?,
                Long("streams") => {
                    let list = parser.value()?.string()?;
                    options.streams = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                Long("repeat") => options.repeat = parser.value()?.parse()?,
                Long("rtt-ms") => options.path.round_trip = Duration::from_millis(parser.value()?.parse()?),
                Long("loss") => options.path.loss_percent = parser.value()?.parse()?,
                Long("seed") => options.path.seed = parser.value()?.parse()?,
                Long("json") => options.json = Some(parser.value()?.into()),
                Long("dial") => options.dial = Some(parser.value()?.parse()?),
                Long("listen") => options.listen = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    fn start_listener() -> Result<(Multiaddr, Option<Child>), Error> {
        let mut listener = Command::new(std::env::current_exe()?)
            .arg("--listen")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(listener.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok((line.trim().parse()?, Some(listener)))
    }

    async fn measure(options: &Options, address: Multiaddr) -> Result<(), Error> {
        let address = if options.path.is_direct() { address } else { path::start(options.path, address).await? };
        let most = options.streams.iter().copied().max().unwrap_or(0);
        let mut dialler = dial(address, most).await?;
        let mut rows = Vec::new();
        for direction in [Direction::Down, Direction::Up] {
            for &streams in &options.streams {
                for _ in 0..options.repeat {
                    rows.extend(transfer(options, &mut dialler, direction, streams).await?);
                }
            }
        }
        if let Some(file) = &options.json {
            std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
        }
        Ok(())
    }

    async fn transfer(
        options: &Options,
        dialler: &mut Dialler,
        direction: Direction,
        streams: usize,
    ) -> Result<Vec<serde_json::Value>, Error> {
        let each = (options.mib << 20) / streams as u64;
        let megabytes = (each * streams as u64) as f64 / 1e6;
        let (theirs, ours, start) = (dialler.remote_cpu_time().await?, cpu_time(), Instant::now());
        dialler.transfer(direction, streams, each).await?;
        let (took, ours) = (start.elapsed(), cpu_time() - ours);
        let theirs = dialler.remote_cpu_time().await? - theirs;
        let per_megabyte = |cpu: Duration| cpu.as_secs_f64() * 1e3 / megabytes;
        let rate = megabytes / took.as_secs_f64();
        let way = direction.name();
        let mut values = vec![("throughput", rate, "MB/s"), ("listener", per_megabyte(theirs), "CPU ms/MB")];
        if options.path.is_direct() {
            values.push(("dialler", per_megabyte(ours), "CPU ms/MB"));
        }
        print!("{way:<5} {streams:>3} streams");
        for (what, value, unit) in &values {
            print!("   {what} {value:>8.2} {unit}");
        }
        println!();
        let row = |(what, value, unit)| {
            let name = format!("native webrtc {way} {what}");
            json!({"name": name, "subject": format!("{streams} streams"), "value": value, "unit": unit, "ratio": null})
        };
        Ok(values.into_iter().map(row).collect())
    }
}
