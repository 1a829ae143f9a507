//! CI to person number, in memory only: a sorted array of MACs under a key that dies with the process.

use ring::{hmac, rand::SecureRandom};

use crate::domain::PersonNo;

/// 20 bytes a person: 128 bits of HMAC-SHA-256(CI) and the person number. 15 M persons: 300 MB.
pub struct CiTable {
    key: hmac::Key,
    rows: Vec<([u8; 16], PersonNo)>,
}

pub struct CiTableBuilder {
    key: hmac::Key,
    rows: Vec<([u8; 16], PersonNo)>,
}

fn mac(key: &hmac::Key, ci: &[u8]) -> [u8; 16] {
    let tag = hmac::sign(key, ci);
    let mut short = [0; 16];
    short.copy_from_slice(&tag.as_ref()[..16]);
    short
}

impl CiTableBuilder {
    pub fn new() -> Result<CiTableBuilder, ring::error::Unspecified> {
        let mut key = [0u8; 32];
        ring::rand::SystemRandom::new().fill(&mut key)?;
        Ok(CiTableBuilder { key: hmac::Key::new(hmac::HMAC_SHA256, &key), rows: Vec::new() })
    }

    pub fn add(&mut self, ci: &[u8], person: PersonNo) {
        self.rows.push((mac(&self.key, ci), person));
    }

    /// Sorts; of a CI that stands twice the lower person number is kept. Returns how many were dropped so.
    pub fn build(mut self) -> (CiTable, usize) {
        self.rows.sort_unstable();
        let before = self.rows.len();
        self.rows.dedup_by_key(|row| row.0);
        let dropped = before - self.rows.len();
        (CiTable { key: self.key, rows: self.rows }, dropped)
    }
}

impl CiTable {
    pub fn person(&self, ci: &[u8]) -> Option<PersonNo> {
        let wanted = mac(&self.key, ci);
        self.rows.binary_search_by(|row| row.0.cmp(&wanted)).ok().map(|at| self.rows[at].1)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ci_finds_its_person_and_no_other() {
        let mut builder = CiTableBuilder::new().unwrap();
        for n in 0..1_000u32 {
            builder.add(format!("ci-{n}").as_bytes(), PersonNo(n));
        }
        builder.add(b"ci-7", PersonNo(5_000));
        let (table, dropped) = builder.build();
        assert_eq!((table.len(), dropped), (1_000, 1));
        assert_eq!(table.person(b"ci-7"), Some(PersonNo(7)));
        assert_eq!(table.person(b"ci-1000"), None);
    }
}
