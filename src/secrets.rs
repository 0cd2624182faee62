//! Secrets at rest: encrypted with a key that is not in the database.
//!
//! XChaCha20-Poly1305 with a random nonce of 24 bytes. The *place* of a secret (which setting, for
//! which origin) is authenticated with it, so that a ciphertext moved elsewhere does not open. The
//! key-encryption keys stand in a file, one of 64 hexadecimal digits a line: the first encrypts, all
//! of them decrypt, so a new first line is a rotation.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, OsRng, Payload, rand_core::RngCore as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ring::hkdf;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a nonce.
const NONCE: usize = 24;
/// How many keys a file may hold.
const KEYS_MAX: usize = 100;

/// Why a secret cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of keys cannot be read or made.
    #[error("cannot use the key-encryption key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of the file is no key. The line is not shown.
    #[error("line {line} of {path} is not a key of 64 hexadecimal digits")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The file holds no key.
    #[error("{0} holds no key")]
    Empty(PathBuf),
    /// None of the keys at hand encrypted it.
    #[error("the secret was encrypted with key {0}, which is not among those at hand")]
    UnknownKey(String),
    /// It was changed, or stands in another place than it was made for.
    #[error("the encrypted secret does not open: it was changed, or belongs elsewhere")]
    Forged,
}

/// An encrypted secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Names the key that encrypted it.
    key: String,
    /// In hexadecimal.
    nonce: String,
    /// In hexadecimal.
    text: String,
}

/// The key-encryption keys.
pub struct Keyring {
    keys: Vec<(String, XChaCha20Poly1305)>,
    seeds: Vec<Zeroizing<[u8; KEY]>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.keys.iter().map(|(name, _)| name).collect();
        f.debug_struct("Keyring")
            .field("keys", &names)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads the keys of a file.
    ///
    /// # Errors
    /// When it cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(file)?);
        let (mut keys, mut seeds) = (Vec::new(), Vec::new());
        let lines = text.lines().enumerate().map(|(at, line)| (at, line.trim()));
        for (at, line) in lines.filter(|(_, line)| !line.is_empty()).take(KEYS_MAX) {
            let key = from_hex(line).map(Zeroizing::new);
            let Some(key) = key.filter(|key| key.len() == KEY) else {
                let path = path.to_owned();
                return Err(Error::NotAKey { path, line: at + 1 });
            };
            seeds.push(derived(&key));
            keys.push((name(&key), XChaCha20Poly1305::new(key.as_slice().into())));
        }
        if keys.is_empty() {
            return Err(Error::Empty(path.to_owned()));
        }
        Ok(Self { keys, seeds })
    }

    /// Reads the keys of a file, which is made with one new key if it is not there.
    ///
    /// # Errors
    /// As [`Keyring::read`], or when it cannot be made.
    pub fn read_or_make(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            make(path).map_err(|source| Error::File {
                path: path.to_owned(),
                source,
            })?;
        }
        Self::read(path)
    }

    /// A seed of each key for signing, from which the key cannot be found.
    #[must_use]
    pub fn signing_seeds(&self) -> &[Zeroizing<[u8; KEY]>] {
        &self.seeds
    }

    /// Encrypts `secret` for `place`.
    ///
    /// # Errors
    /// Never in practice: only a secret of many gigabytes cannot be encrypted.
    pub fn seal(&self, secret: &SecretString, place: &str) -> Result<Sealed, Error> {
        let mut nonce = [0; NONCE];
        OsRng.fill_bytes(&mut nonce);
        let (name, cipher) = &self.keys[0];
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: place.as_bytes(),
        };
        let text = cipher.encrypt(XNonce::from_slice(&nonce), payload);
        Ok(Sealed {
            key: name.clone(),
            nonce: to_hex(&nonce),
            text: to_hex(&text.map_err(|_| Error::Forged)?),
        })
    }

    /// Decrypts what was encrypted for `place`.
    ///
    /// # Errors
    /// When no key fits, or when it was changed or made for another place.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<SecretString, Error> {
        let known = self.keys.iter().find(|(name, _)| *name == sealed.key);
        let (_, cipher) =
            known.ok_or_else(|| Error::UnknownKey(sealed.key.chars().take(16).collect()))?;
        let (Some(nonce), Some(text)) = (from_hex(&sealed.nonce), from_hex(&sealed.text)) else {
            return Err(Error::Forged);
        };
        if nonce.len() != NONCE {
            return Err(Error::Forged);
        }
        let payload = Payload {
            msg: &text,
            aad: place.as_bytes(),
        };
        let plain = cipher.decrypt(XNonce::from_slice(&nonce), payload);
        let plain = plain.map_err(|_| Error::Forged)?;
        let secret = String::from_utf8(plain).map_err(|error| {
            error.into_bytes().zeroize();
            Error::Forged
        })?;
        Ok(SecretString::from(secret))
    }
}

/// Makes a file with one new key, complete or not at all, and never over one that is there.
fn make(path: &Path) -> io::Result<()> {
    let mut key = Zeroizing::new([0; KEY]);
    OsRng.fill_bytes(key.as_mut());
    let mut suffix = [0; 4];
    OsRng.fill_bytes(&mut suffix);
    let fresh = path.with_extension(to_hex(&suffix));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    let line = Zeroizing::new(format!("{}\n", to_hex(key.as_ref())));
    let linked = file
        .write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(&fresh, path));
    std::fs::remove_file(&fresh)?;
    match linked {
        // Another process was as quick.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

/// A seed for signing, derived from a key.
fn derived(key: &[u8]) -> Zeroizing<[u8; KEY]> {
    let mut seed = Zeroizing::new([0; KEY]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key);
    extracted
        .expand(&[b"bloom audit seals"], hkdf::HKDF_SHA256)
        .and_then(|block| block.fill(seed.as_mut()))
        .expect("one block of the digest's own length");
    seed
}

/// A key's name: the beginning of its digest, which says nothing about it.
fn name(key: &[u8]) -> String {
    to_hex(&Sha256::digest(key)[..4])
}

/// In lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// From hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kek-{}", uuid::Uuid::new_v4()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(std::fs::remove_file(&self.0));
        }
    }

    const OLD: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const NEW: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

    fn secret() -> SecretString {
        SecretString::from("the-admin-key")
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_unchanged() {
        let ring = Keyring::read(&Scratch::new(OLD).0).unwrap();
        let sealed = ring.seal(&secret(), "config|http://a").unwrap();
        let stored = serde_json::to_string(&sealed).unwrap();
        assert!(!stored.contains("the-admin-key"), "{stored}");
        let open = ring.open(&sealed, "config|http://a").unwrap();
        assert_eq!(open.expose_secret(), "the-admin-key");
        assert!(matches!(
            ring.open(&sealed, "config|http://b"),
            Err(Error::Forged)
        ));
        let mut changed = sealed.clone();
        changed.text.replace_range(
            0..2,
            if sealed.text.starts_with("00") {
                "01"
            } else {
                "00"
            },
        );
        assert!(ring.open(&changed, "config|http://a").is_err());
        let again = ring.seal(&secret(), "config|http://a").unwrap();
        assert_ne!(again.nonce, sealed.nonce);
    }

    #[test]
    fn a_new_first_line_is_a_rotation_and_a_lost_key_is_named() {
        let old = Keyring::read(&Scratch::new(OLD).0).unwrap();
        let sealed = old.seal(&secret(), "p").unwrap();
        let both = Keyring::read(&Scratch::new(&format!("{NEW}\n\n{OLD}\n")).0).unwrap();
        assert_eq!(
            both.open(&sealed, "p").unwrap().expose_secret(),
            "the-admin-key"
        );
        assert_ne!(both.seal(&secret(), "p").unwrap().key, sealed.key);
        let new = Keyring::read(&Scratch::new(NEW).0).unwrap();
        let error = new.open(&sealed, "p").unwrap_err().to_string();
        assert!(error.contains(&sealed.key), "{error}");
    }

    #[test]
    fn a_file_that_holds_no_keys_is_refused_without_showing_it() {
        for text in ["", "\n\n", "hunter2", &OLD[1..], &format!("{OLD}\nhunter2")] {
            let error = Keyring::read(&Scratch::new(text).0)
                .unwrap_err()
                .to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", Keyring::read(&Scratch::new(OLD).0).unwrap()).contains("0011"));
    }

    #[test]
    fn a_file_is_made_once_and_only_for_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let scratch = Scratch::new("");
        std::fs::remove_file(&scratch.0).unwrap();
        let sealed = Keyring::read_or_make(&scratch.0)
            .unwrap()
            .seal(&secret(), "p")
            .unwrap();
        let mode = std::fs::metadata(&scratch.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Keyring::read_or_make(&scratch.0).unwrap();
        assert_eq!(
            again.open(&sealed, "p").unwrap().expose_secret(),
            "the-admin-key"
        );
    }
}
