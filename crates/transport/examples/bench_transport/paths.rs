//! Long and lossy paths on demand.

use std::error::Error;
use std::net::SocketAddr;

use shoal_netem::{Conditions, TcpProxy, UdpProxy};

use crate::input_lines;

/// Takes lines `udp ADDRESS` or `tcp ADDRESS`, opens a path to each, and prints where it begins, in the same order. Paths
/// last as long as the program, and the n-th path of a seed always loses the same packets.
pub(crate) async fn run(conditions: Conditions, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut lines = input_lines();
    let (mut udp, mut tcp) = (Vec::new(), Vec::new());
    while let Some(line) = lines.recv().await {
        let (kind, target) = line.split_once(' ').ok_or("a line is `udp ADDRESS` or `tcp ADDRESS`")?;
        let target: SocketAddr = target.parse()?;
        let seed = seed.wrapping_add((udp.len() + tcp.len()) as u64);
        let address = match kind {
            "udp" => {
                udp.push(UdpProxy::open(target, conditions, seed).await?);
                udp.last().map(UdpProxy::address)
            }
            "tcp" => {
                tcp.push(TcpProxy::open(target, conditions, seed).await?);
                tcp.last().map(TcpProxy::address)
            }
            _ => return Err(format!("no path of kind {kind:?}").into()),
        };
        println!("listening {}", address.expect("one was pushed"));
    }
    let counts = udp.iter().map(UdpProxy::counts).chain(tcp.iter().map(TcpProxy::counts));
    let (carried, lost, overflowed) = counts
        .fold((0, 0, 0), |sum, counts| (sum.0 + counts.carried(), sum.1 + counts.lost(), sum.2 + counts.overflowed()));
    eprintln!("the proxy carried {carried} packets, lost {lost}, dropped {overflowed} at full queues");
    Ok(())
}
