//! Session descriptions: what the dialler reads of the browser's offer, and the listener's answer that it invents.

use std::net::SocketAddr;

use super::credentials::CredentialError;
use super::fingerprint::Fingerprint;
use super::limits::MAX_FRAME_LEN;

/// What the dialler needs of its own offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The ICE password that the browser chose.
    pub ice_pwd: String,
    /// Fingerprint of the browser's certificate.
    pub fingerprint: Fingerprint,
    /// Name of the media section, which the answer repeats.
    pub mid: String,
}

impl Offer {
    /// Reads a local description.
    ///
    /// # Errors
    /// [`CredentialError::MissingLine`] if a line is missing; the dial must then stop.
    pub fn from_sdp(sdp: &str) -> Result<Self, CredentialError> {
        let line = |name: &'static str| {
            sdp.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .ok_or(CredentialError::MissingLine { line: name })
        };
        // A description may list the certificate under several hashes.
        let fingerprint =
            sdp.lines().filter_map(|line| line.strip_prefix("a=fingerprint:")).find_map(Fingerprint::from_sdp);
        Ok(Self {
            ice_pwd: line("a=ice-pwd:")?.to_owned(),
            fingerprint: fingerprint.ok_or(CredentialError::MissingLine { line: "a=fingerprint:sha-256" })?,
            mid: line("a=mid:")?.to_owned(),
        })
    }

    /// The answer of the listener at `socket` with the certificate `fingerprint`, as it would give it. `ufrag` is its
    /// username fragment and password.
    pub fn answer(&self, socket: SocketAddr, fingerprint: Fingerprint, ufrag: &str) -> String {
        let (ip, port, mid) = (socket.ip(), socket.port(), &self.mid);
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let fingerprint = fingerprint.to_sdp();
        let lines = [
            "v=0".to_owned(),
            format!("o=- 0 0 IN {family} {ip}"),
            "s=-".to_owned(),
            "t=0 0".to_owned(),
            "a=ice-lite".to_owned(),
            format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
            format!("c=IN {family} {ip}"),
            format!("a=mid:{mid}"),
            "a=ice-options:ice2".to_owned(),
            format!("a=ice-ufrag:{ufrag}"),
            format!("a=ice-pwd:{ufrag}"),
            format!("a=fingerprint:{fingerprint}"),
            "a=setup:passive".to_owned(),
            "a=sctp-port:5000".to_owned(),
            format!("a=max-message-size:{MAX_FRAME_LEN}"),
            format!("a=candidate:1 1 UDP 1 {ip} {port} typ host"),
            "a=end-of-candidates".to_owned(),
        ];
        lines.join("\r\n") + "\r\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::credentials::server_ufrag;

    const OFFER: &str = "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE data\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:4Zcw\r\n\
        a=ice-pwd:zPOPYkbmbTqGvF+GpZ8AcGQB\r\na=fingerprint:sha-1 00:11\r\n\
        a=fingerprint:sha-256 ABABABAB\r\nFP\r\na=setup:actpass\r\na=mid:data\r\n";

    fn offer() -> String {
        OFFER.replace("FP", &format!("a=fingerprint:{}", Fingerprint::new([3; 32]).to_sdp()))
    }

    #[test]
    fn the_browsers_credentials_are_read() {
        let offer = Offer::from_sdp(&offer()).unwrap();
        assert_eq!(offer.ice_pwd, "zPOPYkbmbTqGvF+GpZ8AcGQB");
        assert_eq!((offer.fingerprint, offer.mid.as_str()), (Fingerprint::new([3; 32]), "data"));
    }

    #[test]
    fn a_missing_line_stops_the_dial() {
        for line in ["a=ice-pwd:", "a=mid:", "a=fingerprint:sha-256 03"] {
            let sdp = offer().replace(line, "a=x:");
            assert!(matches!(Offer::from_sdp(&sdp), Err(CredentialError::MissingLine { .. })), "{line}");
        }
    }

    #[test]
    fn the_answer_carries_the_listeners_fragment() {
        let offer = Offer::from_sdp(&offer()).unwrap();
        let ufrag = server_ufrag(&offer.ice_pwd).unwrap();
        let answer = offer.answer("[::1]:9".parse().unwrap(), Fingerprint::new([7; 32]), &ufrag);
        for line in [
            "a=ice-lite",
            "a=mid:data",
            "c=IN IP6 ::1",
            "a=ice-ufrag:libp2p+webrtc+v2/zPOPYkbmbTqGvF+GpZ8AcGQB",
            "a=ice-pwd:libp2p+webrtc+v2/zPOPYkbmbTqGvF+GpZ8AcGQB",
            "a=setup:passive",
            "a=max-message-size:16384",
            "a=candidate:1 1 UDP 1 ::1 9 typ host",
        ] {
            assert!(answer.contains(&format!("{line}\r\n")), "{line}");
        }
    }
}
