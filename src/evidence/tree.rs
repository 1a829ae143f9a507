//! The Merkle tree of RFC 9162 over SHA-256: leaf 0x00, node 0x01. Hashing only; no I/O.

use std::fmt;

use ring::digest;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Hash(hash)
}

/// Hash of a leaf whose data is the parts one after the other.
pub fn leaf_hash(data: &[&[u8]]) -> Hash {
    let mut parts: Vec<&[u8]> = vec![&[0]];
    parts.extend(data);
    sha256(&parts)
}

fn node_hash(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1], &left.0, &right.0])
}

/// Roots of the full subtrees that a tree of `size` leaves is made of, largest first: all that appending needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// `None` when a tree of that size has another number of peaks.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Frontier> {
        (size.count_ones() as usize == peaks.len()).then_some(Frontier { size, peaks })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(left, hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return sha256(&[]) };
        peaks.fold(*last, |right, left| node_hash(*left, right))
    }
}

fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// Largest power of two below `size`, which is at least 2.
fn split(size: usize) -> usize {
    1 << (usize::BITS - 1 - (size - 1).leading_zeros())
}

/// Hashes that lead from leaf `index` to the root of `leaves`. `None` when there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    let mut index = usize::try_from(index).ok().filter(|index| *index < leaves.len())?;
    let (mut leaves, mut proof) = (leaves, Vec::new());
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Does the proof lead from the leaf to the root (RFC 9162, 2.1.3.2)?
pub fn is_included(leaf: Hash, index: u64, size: u64, root: Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(*step, hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Hashes that show that the tree of the first `before` leaves is the beginning of this one (`1 ≤ before ≤ size`).
pub fn consistency_proof(leaves: &[Hash], before: u64) -> Option<Vec<Hash>> {
    let mut before = usize::try_from(before).ok().filter(|before| (1..=leaves.len()).contains(before))?;
    let (mut leaves, mut proof, mut known) = (leaves, Vec::new(), true);
    while before != leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if before <= left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            before -= left.len();
            leaves = right;
            known = false;
        }
    }
    if !known {
        proof.push(root_of(leaves));
    }
    proof.reverse();
    Some(proof)
}

/// Does the proof show that one head continues the other (RFC 9162, 2.1.4.2)?
pub fn is_consistent(before: (u64, Hash), after: (u64, Hash), proof: &[Hash]) -> bool {
    if before.0 == 0 || before.0 > after.0 {
        return false;
    }
    if before.0 == after.0 {
        return proof.is_empty() && before.1 == after.1;
    }
    let mut steps = proof.iter().copied();
    let first = if before.0.is_power_of_two() { Some(before.1) } else { steps.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (before.0 - 1, after.0 - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (first, first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(step, old);
            new = node_hash(step, new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(new, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == before.1 && new == after.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The leaves that Certificate Transparency implementations test with, and the roots of their first n.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hashes(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&[&n.to_be_bytes()])).collect()
    }

    #[test]
    fn the_published_leaves_have_the_published_roots() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_string(), ROOTS[0]);
        for (at, leaf) in LEAVES.iter().enumerate() {
            frontier.push(leaf_hash(&[leaf]));
            assert_eq!(frontier.root().to_string(), ROOTS[at + 1], "{} leaves", at + 1);
            let again = Frontier::new(frontier.size(), frontier.peaks().to_vec());
            assert_eq!(again.as_ref(), Some(&frontier));
        }
        assert_eq!(Frontier::new(3, vec![]), None);
    }

    proptest! {
        #[test]
        fn a_leaf_is_shown_to_be_in_the_tree_and_another_is_not(size in 1u64..40, at in 0u64..40, wrong in 0usize..8) {
            let leaves = hashes(size);
            let root = root_of(&leaves);
            prop_assume!(at < size);
            let mut proof = inclusion_proof(&leaves, at).unwrap();
            prop_assert!(is_included(leaves[at as usize], at, size, root, &proof));
            prop_assert!(!is_included(leaf_hash(&[b"x"]), at, size, root, &proof));
            prop_assert!(!is_included(leaves[at as usize], at + size, size, root, &proof));
            if let Some(step) = proof.get_mut(wrong) {
                step.0[0] ^= 1;
                prop_assert!(!is_included(leaves[at as usize], at, size, root, &proof));
            }
            prop_assert!(inclusion_proof(&leaves, size).is_none());
        }

        #[test]
        fn a_head_is_shown_to_continue_an_earlier_one_and_no_other(before in 1u64..40, size in 1u64..40) {
            prop_assume!(before <= size);
            let leaves = hashes(size);
            let (old, new) = (root_of(&leaves[..before as usize]), root_of(&leaves));
            let proof = consistency_proof(&leaves, before).unwrap();
            prop_assert!(is_consistent((before, old), (size, new), &proof));
            let forged = leaf_hash(&[b"forged"]);
            prop_assert!(!is_consistent((before, forged), (size, new), &proof));
            prop_assert!(!is_consistent((before, old), (size, forged), &proof));
        }
    }
}
