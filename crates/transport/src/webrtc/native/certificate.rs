//! The listener's DTLS certificate. Its fingerprint is part of the multiaddr, so a relay keeps it for as long as its
//! address is to stay valid. Browsers check the fingerprint and nothing else: neither names nor expiry.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prost::Message as _;
use str0m::config::{CryptoProvider, DtlsCert};

use crate::webrtc::fingerprint::Fingerprint;

/// Longest serialised certificate read back, in bytes; an ECDSA one has about 500.
const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The cryptography library could not make a key.
    #[error("the DTLS certificate could not be generated")]
    Generate,
    /// The bytes are no serialised certificate.
    #[error("{len} bytes are not a stored DTLS certificate")]
    Malformed {
        /// Length of the input, in bytes.
        len: usize,
    },
}

/// A self-signed ECDSA P-256 certificate and its private key.
#[derive(Clone)]
pub struct Certificate {
    dtls: DtlsCert,
    fingerprint: Fingerprint,
}

/// As stored: both parts in DER.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    certificate: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    private_key: Vec<u8>,
}

impl Certificate {
    /// Makes a new key and certificate.
    ///
    /// # Errors
    /// [`CertificateError::Generate`] if the system gives no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        provider().dtls_provider.generate_certificate().map(Self::from_dtls).ok_or(CertificateError::Generate)
    }

    /// Certificate and **private key** in one piece, to be stored where only the owner reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        Stored { certificate: self.dtls.certificate.clone(), private_key: self.dtls.private_key.clone() }
            .encode_to_vec()
    }

    /// Reads back [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`CertificateError::Malformed`]. A key that does not fit its certificate shows only in the first handshake.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed { len: bytes.len() };
        if bytes.len() > MAX_CERTIFICATE_LEN {
            return Err(malformed);
        }
        match Stored::decode(bytes) {
            Ok(Stored { certificate, private_key }) if !certificate.is_empty() && !private_key.is_empty() => {
                Ok(Self::from_dtls(DtlsCert { certificate, private_key }))
            }
            Ok(_) | Err(_) => Err(malformed),
        }
    }

    /// SHA-256 of the certificate: what `/certhash` carries.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn dtls(&self) -> DtlsCert {
        self.dtls.clone()
    }

    fn from_dtls(dtls: DtlsCert) -> Self {
        let fingerprint = Fingerprint::new(provider().sha256_provider.sha256(&dtls.certificate));
        Self { dtls, fingerprint }
    }
}

impl fmt::Debug for Certificate {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint.to_sdp()).finish_non_exhaustive()
    }
}

/// The cryptography library, made once.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(str0m::crypto::from_feature_flags()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_certificate_keeps_its_fingerprint() {
        let certificate = Certificate::generate().unwrap();
        let read = Certificate::from_bytes(&certificate.to_bytes()).unwrap();
        assert_eq!(read.fingerprint(), certificate.fingerprint());
        assert_eq!(read.to_bytes(), certificate.to_bytes());
        assert_ne!(Certificate::generate().unwrap().fingerprint(), certificate.fingerprint());
    }

    #[test]
    fn other_bytes_are_refused() {
        let stored = Certificate::generate().unwrap().to_bytes();
        for bytes in [&stored[..stored.len() - 1], b"", b"\x0a\x01x", &[0xff; 40]] {
            assert_eq!(Certificate::from_bytes(bytes).unwrap_err(), CertificateError::Malformed { len: bytes.len() });
        }
    }

    #[test]
    fn debug_output_keeps_the_key_to_itself() {
        let certificate = Certificate::generate().unwrap();
        let text = format!("{certificate:?}");
        assert!(text.contains("sha-256") && text.len() < 200, "{text}");
    }
}
