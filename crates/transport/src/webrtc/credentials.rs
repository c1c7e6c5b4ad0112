//! ICE credentials of webrtc-direct, versions 1 and 2.
//!
//! There is no signalling channel, so the dialler invents the listener's credentials, and the listener reads everything back
//! from the `USERNAME` of the first connectivity check (libp2p specs, `webrtc/webrtc-direct.md`). In version 2 the dialler
//! writes its own ICE password into the username fragment that it invents for the listener. In version 1 one invented text is
//! fragment and password of both sides, for which the browser's own offer has to be rewritten; browsers stop allowing that.
//! The prefix of the fragment tells the version; anything else is refused, never guessed.

use super::limits::{MAX_ICE_PWD_LEN, MAX_ICE_UFRAG_LEN, MIN_ICE_PWD_LEN, MIN_ICE_UFRAG_LEN, V1_RANDOM_LEN};

/// What a version 2 username fragment of a listener starts with.
pub const V2_PREFIX: &str = "libp2p+webrtc+v2/";
/// What a version 1 username fragment starts with.
pub const V1_PREFIX: &str = "libp2p+webrtc+v1/";

/// How the two sides agree on ICE credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// One text is fragment and password of both sides.
    V1,
    /// The listener's fragment carries the dialler's password.
    V2,
}

/// Why ICE credentials were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The `USERNAME` has no `:` between the two fragments.
    #[error("the STUN username has no separator")]
    NoSeparator,
    /// The fragments of version 1, which both sides share, differ.
    #[error("the two username fragments of webrtc-direct version 1 differ")]
    FragmentsDiffer,
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
    /// The system gave no randomness for a fragment.
    #[error("no random bytes")]
    Random,
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
    /// By which rules the fragments are read.
    pub version: Version,
    /// Username fragment of the listener, which is its password too.
    pub server_ufrag: String,
    /// Username fragment of the dialler.
    pub client_ufrag: String,
}

impl Credentials {
    /// Reads the `USERNAME` of a connectivity check: `server_ufrag:client_ufrag`.
    ///
    /// # Errors
    /// Any [`CredentialError`] but `MissingLine` and `Random`: the bytes come from the network and are checked before anything
    /// is allocated for them.
    pub fn from_stun_username(username: &str) -> Result<Self, CredentialError> {
        let (server, client) = username.split_once(':').ok_or(CredentialError::NoSeparator)?;
        check_ufrag(server)?;
        check_ufrag(client)?;
        let version = if let Some(client_pwd) = server.strip_prefix(V2_PREFIX) {
            check_pwd(client_pwd)?;
            Version::V2
        } else if server.starts_with(V1_PREFIX) {
            check_pwd(server)?;
            if server != client {
                return Err(CredentialError::FragmentsDiffer);
            }
            Version::V1
        } else {
            return Err(CredentialError::UnknownVersion);
        };
        Ok(Self { version, server_ufrag: server.to_owned(), client_ufrag: client.to_owned() })
    }

    /// The dialler's ICE password.
    pub fn client_pwd(&self) -> &str {
        match self.version {
            Version::V1 => &self.client_ufrag,
            Version::V2 => &self.server_ufrag[V2_PREFIX.len()..],
        }
    }

    /// The listener's ICE password: the same text as its username fragment.
    pub fn server_pwd(&self) -> &str {
        &self.server_ufrag
    }
}

/// A new fragment of version 1, which is also the password, of both sides.
///
/// # Errors
/// [`CredentialError::Random`] if the system gives no randomness.
pub fn shared_ufrag() -> Result<String, CredentialError> {
    /// 64 of them, so that six bits of a random byte choose one without bias.
    const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = [0; V1_RANDOM_LEN];
    getrandom::fill(&mut random).map_err(|_| CredentialError::Random)?;
    let characters = random.iter().map(|byte| char::from(ICE_CHARS[usize::from(byte % 64)]));
    Ok(V1_PREFIX.chars().chain(characters).collect())
}

/// The listener's username fragment and password of version 2, for a dialler whose ICE password is `client_pwd`.
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
        assert_eq!(c.version, Version::V2);
        assert_eq!((c.client_pwd(), c.server_pwd(), c.client_ufrag.as_str()), (PWD, server.as_str(), "Ab+/"));
    }

    #[test]
    fn version_1_has_one_text_for_everything() {
        let ufrag = shared_ufrag().unwrap();
        assert_ne!(shared_ufrag().unwrap(), ufrag);
        let c = Credentials::from_stun_username(&format!("{ufrag}:{ufrag}")).unwrap();
        assert_eq!(c.version, Version::V1);
        assert_eq!((c.client_pwd(), c.server_pwd(), c.client_ufrag.as_str()), (&*ufrag, &*ufrag, &*ufrag));
        let other = format!("{ufrag}:{}", shared_ufrag().unwrap());
        assert_eq!(Credentials::from_stun_username(&other), Err(CredentialError::FragmentsDiffer));
        let short = "libp2p+webrtc+v1/abcd";
        let refused = Err(CredentialError::PwdLength { len: short.len() });
        assert_eq!(Credentials::from_stun_username(&format!("{short}:{short}")), refused);
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
            (format!("{V1_PREFIX}{PWD}\r\na=x:{V1_PREFIX}{PWD}\r\na=x"), b'\r'),
        ] {
            assert_eq!(Credentials::from_stun_username(&text), Err(CredentialError::Character { byte }), "{text:?}");
        }
    }

    #[test]
    fn other_versions_are_refused() {
        let read = |s: &str| Credentials::from_stun_username(s);
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
