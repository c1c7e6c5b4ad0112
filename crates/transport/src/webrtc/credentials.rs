//! ICE credentials of webrtc-direct v2.
//!
//! There is no signalling channel, so the dialler writes its own ICE password into the username fragment that it
//! invents for the listener, and the listener reads it back from the `USERNAME` of the first connectivity check
//! (libp2p specs, `webrtc/webrtc-direct.md`, "Browser to public Server v2"). Version 1 is recognised only to be
//! refused by name; anything else is refused too, never guessed.

use super::limits::{MAX_ICE_PWD_LEN, MAX_ICE_UFRAG_LEN, MIN_ICE_PWD_LEN, MIN_ICE_UFRAG_LEN};

/// What a version 2 username fragment of a listener starts with.
pub const V2_PREFIX: &str = "libp2p+webrtc+v2/";
/// What a version 1 username fragment starts with. Version 1 rewrites the browser's offer, which browsers stop allowing.
pub const V1_PREFIX: &str = "libp2p+webrtc+v1/";

/// Why ICE credentials were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The `USERNAME` has no `:` between the two fragments.
    #[error("the STUN username has no separator")]
    NoSeparator,
    /// The fragment is of version 1, which this listener does not serve.
    #[error("webrtc-direct version 1 is not served")]
    Version1,
    /// The fragment names no version known here.
    #[error("the username fragment names no known webrtc-direct version")]
    UnknownVersion,
    /// A fragment is shorter or longer than RFC 8839 allows.
    #[error("a username fragment of {len} characters is outside {MIN_ICE_UFRAG_LEN}..={MAX_ICE_UFRAG_LEN}")]
    UfragLength {
        /// Length found, in bytes.
        len: usize,
    },
    /// A password is shorter or longer than RFC 8839 allows.
    #[error("an ICE password of {len} characters is outside {MIN_ICE_PWD_LEN}..={MAX_ICE_PWD_LEN}")]
    PwdLength {
        /// Length found, in bytes.
        len: usize,
    },
    /// A byte outside the ice-char set: letters, digits, `+` and `/`.
    #[error("byte {byte:#04x} is not an ice-char")]
    Character {
        /// The first offending byte.
        byte: u8,
    },
    /// The session description carries no such line.
    #[error("the session description has no usable {line} line")]
    MissingLine {
        /// The attribute looked for, such as `a=ice-pwd`.
        line: &'static str,
    },
}

/// The credentials of both sides of one connection, as the first connectivity check gives them away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Username fragment of the listener, which is its password too: the prefix and the dialler's password.
    pub server_ufrag: String,
    /// Username fragment of the dialler.
    pub client_ufrag: String,
}

impl Credentials {
    /// Reads the `USERNAME` of a connectivity check: `server_ufrag:client_ufrag`.
    ///
    /// # Errors
    /// Any [`CredentialError`] but `MissingLine`: the bytes come from the network and are checked before anything is
    /// allocated for them.
    pub fn from_stun_username(username: &str) -> Result<Self, CredentialError> {
        let (server, client) = username.split_once(':').ok_or(CredentialError::NoSeparator)?;
        check_ufrag(server)?;
        check_ufrag(client)?;
        let Some(client_pwd) = server.strip_prefix(V2_PREFIX) else {
            return Err(if server.starts_with(V1_PREFIX) {
                CredentialError::Version1
            } else {
                CredentialError::UnknownVersion
            });
        };
        check_pwd(client_pwd)?;
        Ok(Self { server_ufrag: server.to_owned(), client_ufrag: client.to_owned() })
    }

    /// The dialler's ICE password, which its fragment for the listener carries.
    pub fn client_pwd(&self) -> &str {
        &self.server_ufrag[V2_PREFIX.len()..]
    }

    /// The listener's ICE password: the same text as its username fragment.
    pub fn server_pwd(&self) -> &str {
        &self.server_ufrag
    }
}

/// The listener's username fragment and password for a dialler whose ICE password is `client_pwd`.
///
/// # Errors
/// [`CredentialError`] if the password is malformed or too long to fit behind the prefix; the dial must then stop.
pub fn server_ufrag(client_pwd: &str) -> Result<String, CredentialError> {
    check_pwd(client_pwd)?;
    let ufrag = format!("{V2_PREFIX}{client_pwd}");
    check_ufrag(&ufrag)?;
    Ok(ufrag)
}

fn check_ufrag(text: &str) -> Result<(), CredentialError> {
    if !(MIN_ICE_UFRAG_LEN..=MAX_ICE_UFRAG_LEN).contains(&text.len()) {
        return Err(CredentialError::UfragLength { len: text.len() });
    }
    check_characters(text)
}

fn check_pwd(text: &str) -> Result<(), CredentialError> {
    if !(MIN_ICE_PWD_LEN..=MAX_ICE_PWD_LEN).contains(&text.len()) {
        return Err(CredentialError::PwdLength { len: text.len() });
    }
    check_characters(text)
}

fn check_characters(text: &str) -> Result<(), CredentialError> {
    match text.bytes().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))) {
        Some(byte) => Err(CredentialError::Character { byte }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PWD: &str = "abcdefghijklmnopqrstuv+/";

    #[test]
    fn a_browser_check_is_read_back() {
        let server = server_ufrag(PWD).unwrap();
        let c = Credentials::from_stun_username(&format!("{server}:Ab+/")).unwrap();
        assert_eq!((c.client_pwd(), c.server_pwd(), c.client_ufrag.as_str()), (PWD, server.as_str(), "Ab+/"));
    }

    #[test]
    fn only_the_first_colon_separates() {
        let text = format!("{}:abcd:efgh", server_ufrag(PWD).unwrap());
        assert_eq!(Credentials::from_stun_username(&text), Err(CredentialError::Character { byte: b':' }));
    }

    #[test]
    fn line_breaks_never_get_through() {
        for (text, byte) in [
            (format!("{V2_PREFIX}{PWD}\r\na=x:abcd"), b'\r'),
            (format!("{V2_PREFIX}{PWD}\na=x:abcd"), b'\n'),
            (format!("{V2_PREFIX}{PWD}:abcd\r\n"), b'\r'),
            (format!("{V2_PREFIX}{PWD} :abcd"), b' '),
        ] {
            assert_eq!(Credentials::from_stun_username(&text), Err(CredentialError::Character { byte }), "{text:?}");
        }
    }

    #[test]
    fn other_versions_are_refused() {
        let read = |s: &str| Credentials::from_stun_username(s);
        assert_eq!(read(&format!("libp2p+webrtc+v1/{PWD}:abcd")), Err(CredentialError::Version1));
        assert_eq!(read(&format!("libp2p+webrtc+v3/{PWD}:abcd")), Err(CredentialError::UnknownVersion));
        assert_eq!(read(&format!("{PWD}:abcd")), Err(CredentialError::UnknownVersion));
        assert_eq!(read(PWD), Err(CredentialError::NoSeparator));
    }

    #[test]
    fn lengths_are_those_of_rfc_8839() {
        assert_eq!(server_ufrag(&"a".repeat(21)), Err(CredentialError::PwdLength { len: 21 }));
        assert!(server_ufrag(&"a".repeat(22)).is_ok());
        assert!(server_ufrag(&"a".repeat(256 - V2_PREFIX.len())).is_ok());
        assert_eq!(server_ufrag(&"a".repeat(257 - V2_PREFIX.len())), Err(CredentialError::UfragLength { len: 257 }));
        let short = format!("{V2_PREFIX}{PWD}:abc");
        assert_eq!(Credentials::from_stun_username(&short), Err(CredentialError::UfragLength { len: 3 }));
    }
}
