//! Seals over the event log: whoever changes, removes or adds a row of it later is found out.
//!
//! About every half minute a service takes the events that no seal covers yet and that nothing can
//! come before any more, builds a hash tree over them, signs its root together with the digest of
//! the seal before, and stores the seal. The key is derived from the first key-encryption key, which
//! the database does not have. Each seal is logged, and written to a file where one is named, so
//! that seals cannot be removed without a trace either.

mod check;
mod sealer;
mod tree;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

pub use check::{Bad, Found, check};
pub use sealer::{Options, Sealer};
pub use tree::{Hash, leaf, root};

pub use crate::db::calls::seal::{Position, Seal};

use crate::secrets::{from_hex, to_hex};

/// Where the log begins.
#[must_use]
pub fn beginning() -> Position {
    ("0".to_owned(), 0)
}

/// What the first seal has in the place of a digest.
#[must_use]
pub fn no_digest() -> String {
    to_hex(&Hash::default())
}

impl Seal {
    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self {
            id,
            at,
            from,
            to,
            events,
            root,
            prior,
            public_key,
            signature: _,
        } = self;
        format!(
            "bloom seal 1\n{id} {at}\n{} {}\n{} {}\n{events}\n{root}\n{prior}\n{public_key}\n",
            from.0, from.1, to.0, to.1
        )
    }

    /// What the next seal builds on.
    #[must_use]
    pub fn digest(&self) -> String {
        to_hex(&Sha256::digest(format!(
            "{}{}\n",
            self.text(),
            self.signature
        )))
    }

    /// Whether the signature is that of the key that it names.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let (Some(key), Some(signature)) = (from_hex(&self.public_key), from_hex(&self.signature))
        else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, key)
            .verify(self.text().as_bytes(), &signature)
            .is_ok()
    }
}

/// The keys that sign: the first does, all are trusted.
#[derive(Debug)]
pub struct Signers(Vec<Ed25519KeyPair>);

impl Signers {
    /// Of these seeds of 32 bytes; `None` without any.
    #[must_use]
    pub fn of(seeds: &[impl AsRef<[u8]>]) -> Option<Self> {
        let pairs = seeds
            .iter()
            .map(|seed| Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).ok());
        let pairs: Option<Vec<_>> = pairs.collect();
        pairs.filter(|pairs| !pairs.is_empty()).map(Self)
    }

    /// The public keys, in hexadecimal.
    #[must_use]
    pub fn public_keys(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|pair| to_hex(pair.public_key().as_ref()))
            .collect()
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, mut seal: Seal) -> Seal {
        let pair = &self.0[0];
        seal.public_key = to_hex(pair.public_key().as_ref());
        seal.signature = to_hex(pair.sign(seal.text().as_bytes()).as_ref());
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signers(seed: u8) -> Signers {
        Signers::of(&[[seed; 32]]).unwrap()
    }

    fn seal() -> Seal {
        Seal {
            id: 1,
            at: 1_795_600_000_000,
            from: beginning(),
            to: ("815".to_owned(), 42),
            events: 3,
            root: to_hex(&[7; 32]),
            prior: to_hex(&[0; 32]),
            public_key: String::new(),
            signature: String::new(),
        }
    }

    #[test]
    fn every_member_is_under_the_signature() {
        let signed = signers(1).sign(seal());
        assert!(signed.is_signed());
        let edits: [fn(&mut Seal); 8] = [
            |seal| seal.id += 1,
            |seal| seal.at += 1,
            |seal| seal.from.1 += 1,
            |seal| seal.to.0.push('0'),
            |seal| seal.events += 1,
            |seal| seal.root = to_hex(&[8; 32]),
            |seal| seal.prior = to_hex(&[1; 32]),
            |seal| seal.public_key = signers(2).public_keys().remove(0),
        ];
        for edit in edits {
            let mut forged = signed.clone();
            edit(&mut forged);
            assert!(!forged.is_signed(), "{forged:?}");
            assert_ne!(forged.digest(), signed.digest());
        }
    }

    #[test]
    fn the_same_seed_is_the_same_key() {
        let [one, two] = [Signers::of(&[[1; 32]]), Signers::of(&[[1; 32], [2; 32]])];
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.public_keys()[0], two.public_keys()[0]);
        assert_eq!(one.sign(seal()), two.sign(seal()));
        assert!(Signers::of(&[[0; 0]; 0]).is_none());
    }
}
