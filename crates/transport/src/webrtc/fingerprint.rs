//! Certificate fingerprints and the Noise prologue built from them.
//!
//! DTLS runs with self-signed certificates. The listener's fingerprint is in its multiaddr (`/certhash`), the dialler's
//! is learned from the DTLS handshake, and the Noise handshake binds both: its prologue is a fixed text and the two
//! fingerprints as multihashes, dialler first. Only SHA-256 is served, as the specification demands.

use libp2p::core::multihash::Multihash;

/// Multihash code of SHA-256.
const SHA2_256: u64 = 0x12;
/// What the Noise prologue starts with.
const PROLOGUE_PREFIX: &[u8] = b"libp2p-webrtc-noise:";

/// SHA-256 of a DER certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the digest itself.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// From the multihash of a `/certhash`; `None` unless it is a SHA-256.
    pub fn from_multihash(hash: &Multihash<64>) -> Option<Self> {
        if hash.code() != SHA2_256 {
            return None;
        }
        hash.digest().try_into().ok().map(Self)
    }

    /// As the multihash of a `/certhash`.
    pub fn to_multihash(self) -> Multihash<64> {
        Multihash::wrap(SHA2_256, &self.0).expect("32 bytes fit a 64-byte multihash")
    }

    /// From the value of an `a=fingerprint` line (RFC 8122), such as `sha-256 AB:CD:…`.
    pub fn from_sdp(value: &str) -> Option<Self> {
        let (algorithm, hex) = value.trim().split_once(' ')?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let mut digest = [0; 32];
        let mut parts = hex.trim().split(':');
        for byte in &mut digest {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Self(digest))
    }

    /// As the value of an `a=fingerprint` line.
    pub fn to_sdp(self) -> String {
        let hex: Vec<String> = self.0.iter().map(|b| format!("{b:02X}")).collect();
        format!("sha-256 {}", hex.join(":"))
    }
}

/// The Noise prologue of a connection from the holder of `dialler`'s certificate to the holder of `listener`'s.
pub fn noise_prologue(dialler: Fingerprint, listener: Fingerprint) -> Vec<u8> {
    let mut out = PROLOGUE_PREFIX.to_vec();
    out.extend(dialler.to_multihash().to_bytes());
    out.extend(listener.to_multihash().to_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sdp_form_is_read_and_written() {
        let text =
            "sha-256 7D:E3:D8:3F:81:A6:80:59:2A:47:1E:6B:6A:BB:07:47:AB:D3:53:85:A8:09:3F:DF:E1:12:C1:EE:BB:6C:C6:AC";
        let f = Fingerprint::from_sdp(text).unwrap();
        assert_eq!(f.digest()[..3], [0x7d, 0xe3, 0xd8]);
        assert_eq!(f.to_sdp(), text);
        assert_eq!(Fingerprint::from_multihash(&f.to_multihash()), Some(f));
    }

    /// The test vector of the libp2p specification, `webrtc/webrtc-direct.md`, "Both client and server use SHA-256".
    #[test]
    fn the_prologue_is_the_published_one() {
        let read = |text: &str| Fingerprint::new(hex::decode(text).unwrap().try_into().unwrap());
        let client = read("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870");
        let server = read("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99");
        let published = "6c69627032702d7765627274632d6e6f6973653a\
            12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870\
            122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99";
        assert_eq!(hex::encode(noise_prologue(client, server)), published);
    }

    #[test]
    fn other_forms_are_refused() {
        let good = Fingerprint::new([0xab; 32]).to_sdp();
        let long = format!("{good}:00");
        let odd = good.replacen("AB", "A", 1);
        let signed = good.replacen("AB", "+1", 1);
        let other = good.replace("sha-256", "sha-1");
        for text in [&good[..good.len() - 3], &long, &odd, &signed, &other, "", "sha-256", "sha-256 "] {
            assert_eq!(Fingerprint::from_sdp(text), None, "{text:?}");
        }
        let sha512 = Multihash::wrap(0x13, &[0; 64]).unwrap();
        assert_eq!(Fingerprint::from_multihash(&sha512), None);
    }
}
