//! Access lines to one target, for a script that starts workers behind them: prints an address a line, and carries what
//! comes there until its input ends.
//!
//! `access_lines TARGET COUNT ROUND_TRIP_MS DOWN_BITS_PER_SECOND UP_BITS_PER_SECOND`

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Duration;

    use shoal_netem::{Conditions, TcpProxy};

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, count, round_trip_ms, down, up] = &arguments[..] else {
        return Err("access_lines TARGET COUNT ROUND_TRIP_MS DOWN_BITS_PER_SECOND UP_BITS_PER_SECOND".into());
    };
    let (target, count) = (target.parse()?, count.parse::<u64>()?);
    let round_trip = Duration::from_millis(round_trip_ms.parse()?);
    let line = |bits: &str| -> Result<Conditions, std::num::ParseIntError> {
        Ok(Conditions { rate: Some(bits.parse::<u64>()? / 8), ..Conditions::new(round_trip, 0) })
    };
    let directions = [line(up)?, line(down)?];
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut lines = Vec::new();
        for seed in 0..count {
            let line = TcpProxy::open_uneven(target, directions, seed).await?;
            println!("{}", line.address());
            lines.push(line);
        }
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
        Ok(())
    })
}

#[cfg(target_arch = "wasm32")]
fn main() {}
