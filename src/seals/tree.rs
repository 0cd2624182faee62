//! The hash tree of RFC 6962 over texts: a leaf is `SHA-256(0 ‖ text)`, a node `SHA-256(1 ‖ left ‖
//! right)`, and the left part of a tree is the largest power of two that leaves a right one.

use sha2::{Digest as _, Sha256};

/// A digest.
pub type Hash = [u8; 32];

/// The leaf of a text.
#[must_use]
pub fn leaf(text: &str) -> Hash {
    Sha256::new_with_prefix([0])
        .chain_update(text)
        .finalize()
        .into()
}

/// The root over leaves; over none, the digest of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            let node = Sha256::new_with_prefix([1]).chain_update(root(left));
            node.chain_update(root(right)).finalize().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::to_hex;

    /// The example of RFC 6962's own test data: eight inputs, and the root over all of them.
    #[test]
    fn the_root_is_the_one_that_the_standard_has() {
        let inputs: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let leaves: Vec<Hash> = inputs
            .iter()
            .map(|input| leaf(std::str::from_utf8(input).unwrap()))
            .collect();
        assert_eq!(
            to_hex(&root(&leaves)),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
        assert_eq!(
            to_hex(&root(&leaves[..3])),
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
        );
    }
}
