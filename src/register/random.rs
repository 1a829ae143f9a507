//! Random numbers given to mapped values (transform `token_random`): same scope and value, same number for ever.
//!
//! A new number costs one wait for the disk, because it must be known before it is published; whoever has many new
//! values asks for them together.

use std::collections::BTreeSet;

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Register, RegisterError};

/// Draws before the numbers of a scope count as used up; at half full the chance of that is 2^-64.
const DRAWS_MAX: usize = 64;
/// Widest number.
pub const BITS_MAX: u32 = 256;

impl Register {
    /// The random number of `value` in `scope`, as lower-case hex of `bits` bits (a multiple of 8 up to `BITS_MAX`).
    /// Drawn and made durable if it is new; a known one keeps the width it was drawn with.
    pub fn random_hex(&self, scope: &str, value: &str, bits: u32) -> Result<String, RegisterError> {
        let mut all = self.random_hexes(scope, &[value], bits)?;
        all.pop().ok_or_else(|| used_up(scope, bits))
    }

    /// As `random_hex`, for many values in one transaction.
    pub fn random_hexes(&self, scope: &str, values: &[&str], bits: u32) -> Result<Vec<String>, RegisterError> {
        if bits == 0 || bits > BITS_MAX || !bits.is_multiple_of(8) {
            return Err(used_up(scope, bits));
        }
        let mut file = self.file();
        let known = values.iter().map(|value| known(&file, scope, value)).collect::<Result<Vec<_>, _>>()?;
        if let Some(all) = known.iter().cloned().collect::<Option<Vec<_>>>() {
            return Ok(all.iter().map(|number| hex(number)).collect());
        }
        let transaction = file.transaction()?;
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            // Asked again: a value may stand twice in the list.
            let number = match self::known(&transaction, scope, value)? {
                Some(number) => number,
                None => assign(&transaction, scope, value, bits)?,
            };
            all.push(hex(&number));
        }
        transaction.commit()?;
        Ok(all)
    }

    /// All scopes that have numbers.
    pub fn random_scopes(&self) -> Result<BTreeSet<String>, RegisterError> {
        let file = self.file();
        let mut select = file.prepare("SELECT DISTINCT scope FROM token_random")?;
        let scopes = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(scopes)
    }
}

fn known(file: &Connection, scope: &str, value: &str) -> Result<Option<Vec<u8>>, RegisterError> {
    let mut select = file.prepare_cached("SELECT number FROM token_random WHERE scope = ?1 AND value = ?2")?;
    Ok(select.query_row(params![scope, value], |row| row.get(0)).optional()?)
}

fn assign(file: &Connection, scope: &str, value: &str, bits: u32) -> Result<Vec<u8>, RegisterError> {
    let mut insert =
        file.prepare_cached("INSERT OR IGNORE INTO token_random (scope, value, number) VALUES (?1, ?2, ?3)")?;
    for _ in 0..DRAWS_MAX {
        let mut number = vec![0u8; bits as usize / 8];
        SystemRandom::new().fill(&mut number).map_err(|_| used_up(scope, bits))?;
        if insert.execute(params![scope, value, number])? == 1 {
            return Ok(number);
        }
    }
    Err(used_up(scope, bits))
}

fn used_up(scope: &str, bits: u32) -> RegisterError {
    RegisterError::Random { scope: scope.to_owned(), bits }
}

fn hex(number: &[u8]) -> String {
    number.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::IfMissing;
    use super::*;

    #[test]
    fn a_value_keeps_its_random_number_and_shares_it_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("register.sqlite");
        let values: Vec<String> = (0..200).map(|n| format!("v{n}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let first = Register::open(&path, IfMissing::Create).unwrap();
        let numbers = first.random_hexes("naver/site.SITE_ID", &values, 128).unwrap();
        assert!(numbers.iter().all(|n| n.len() == 32));
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), values.len());
        assert_ne!(first.random_hex("kakao/site.SITE_ID", "v0", 128).unwrap(), numbers[0]);
        drop(first);
        let again = Register::open(&path, IfMissing::Refuse).unwrap();
        assert_eq!(again.random_hexes("naver/site.SITE_ID", &values, 128).unwrap(), numbers);
        assert_eq!(again.random_hexes("naver/site.SITE_ID", &["new", "new"], 64).unwrap().len(), 2);
        assert_eq!(again.random_scopes().unwrap().len(), 2);
    }

    #[test]
    fn a_full_scope_refuses_rather_than_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(&dir.path().join("r.sqlite"), IfMissing::Create).unwrap();
        let full = (0..=256).map(|n| register.random_hex("s", &n.to_string(), 8)).position(|number| number.is_err());
        assert!(full.is_some_and(|at| at > 128), "{full:?}");
        for bits in [0, 7, 264] {
            assert!(matches!(register.random_hex("s", "x", bits), Err(RegisterError::Random { .. })));
        }
    }
}
