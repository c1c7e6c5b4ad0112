//! Which machines an HTTPS source may be on.
//!
//! A source is named by a relay, and a name may lead anywhere. So a worker of a public relay connects to public addresses
//! alone: neither a literal, nor a name that resolves elsewhere, nor a redirect makes it talk to its own network. A relay that
//! is itself on the worker's network or machine is trusted with that.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::Host;

/// Where a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Addresses of the public Internet.
    Public,
    /// This machine and its networks too.
    Anywhere,
}

impl Reach {
    /// Whether the URL's host is within reach, for all that it says itself: names are looked at when they are resolved.
    pub(super) fn allows(self, url: &Url) -> bool {
        match url.host() {
            _ if self == Self::Anywhere => true,
            Some(Host::Ipv4(ip)) => is_public(ip.into()),
            Some(Host::Ipv6(ip)) => is_public(ip.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let within: Vec<SocketAddr> =
                found.filter(|found| reach == Self::Anywhere || is_public(found.ip())).collect();
            if within.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "resolves to no public address").into());
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}

/// The resolver of a client.
pub(super) fn resolver(reach: Reach) -> Arc<Reach> {
    Arc::new(reach)
}

/// Whether an address is reached over the public Internet (the registries of RFC 6890, as far as anything answers there).
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let protocols = a == 192 && b == 0 && c == 0;
            let benchmark = a == 198 && b & 0xfe == 18;
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast();
            !(special || is_shared(ip) || protocols || benchmark || a == 0 || a >= 240)
        }
        IpAddr::V6(ip) => match ip.segments() {
            // NAT64 leads to the IPv4 address in it.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                is_public(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into())
            }
            // Teredo and 6to4 lead to an IPv4 address too.
            [0x2001, 0, ..] | [0x2002, ..] => false,
            // Global unicast.
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

/// Whether an address is of this machine or its networks. Much is neither this nor public.
pub(crate) fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

/// 100.64.0.0/10, between a provider and its customers, and of overlay networks.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && b & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for ip in [
            "1.1.1.1",
            "172.15.0.1",
            "100.63.0.1",
            "2606:4700::1",
            "2001:4860::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:192.168.1.1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "64:ff9b::c0a8:101",
            "2002:c0a8:101::1",
            "2001::c0a8:101",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn near_is_what_this_machine_and_its_networks_have() {
        for ip in [
            "127.0.0.2",
            "10.0.0.1",
            "100.127.0.1",
            "169.254.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_near(ip.parse().unwrap()), "{ip}");
        }
        for ip in
            ["1.1.1.1", "100.128.0.1", "172.32.0.1", "240.0.0.1", "2002:a00:1::1", "64:ff9b:1::a00:1", "2606:4700::1"]
        {
            assert!(!is_near(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn literals_are_read_as_the_client_reads_them() {
        let allows = |url: &str| Reach::Public.allows(&url.parse().unwrap());
        assert!(allows("https://1.1.1.1/a") && allows("https://cdn.example/a"));
        for url in [
            "https://192.168.1.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert!(!allows(url), "{url}");
            assert!(Reach::Anywhere.allows(&url.parse().unwrap()), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_does_not_resolve_for_the_public() {
        let resolve = |reach: Reach| reach.resolve("localhost".parse().unwrap());
        assert!(resolve(Reach::Public).await.is_err());
        assert!(resolve(Reach::Anywhere).await.unwrap().next().unwrap().ip().is_loopback());
    }
}
