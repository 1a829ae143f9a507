//! Random numbers given to mapped values (transform `token_random`): same scope and value, same number for ever.

use std::collections::BTreeSet;

use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{OptionalExtension, params};

use super::{Register, RegisterError};

/// Tries before the numbers of a scope count as used up; at half full the chance of that is 2^-64.
const TRIES_MAX: usize = 64;
/// JSON readers keep integers exact up to 53 bits.
pub const BITS_MAX: u8 = 53;

impl Register {
    /// The random number of `value` in `scope`, drawn from `bits` (1–53) bits and made durable if it is new.
    pub fn random_number(&self, scope: &str, value: &str, bits: u8) -> Result<u64, RegisterError> {
        let mut all = self.random_numbers(scope, &[value], bits)?;
        all.pop().ok_or_else(|| RegisterError::Random { scope: scope.to_owned(), bits })
    }

    /// As `random_number`, for many values in one transaction.
    pub fn random_numbers(&self, scope: &str, values: &[&str], bits: u8) -> Result<Vec<u64>, RegisterError> {
        let mut file = self.file();
        let transaction = file.transaction()?;
        let mut all = Vec::with_capacity(values.len());
        {
            let mut select =
                transaction.prepare_cached("SELECT number FROM token_random WHERE scope = ?1 AND value = ?2")?;
            let mut insert = transaction
                .prepare_cached("INSERT OR IGNORE INTO token_random (scope, value, number) VALUES (?1, ?2, ?3)")?;
            for value in values {
                let known: Option<i64> = select.query_row(params![scope, value], |row| row.get(0)).optional()?;
                let mut number = known;
                for _ in 0..TRIES_MAX {
                    if number.is_some() {
                        break;
                    }
                    let drawn = draw(bits).ok_or_else(|| RegisterError::Random { scope: scope.to_owned(), bits })?;
                    number = (insert.execute(params![scope, value, drawn])? == 1).then_some(drawn);
                }
                let number = number.ok_or_else(|| RegisterError::Random { scope: scope.to_owned(), bits })?;
                all.push(number.unsigned_abs());
            }
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

fn draw(bits: u8) -> Option<i64> {
    let bits = bits.clamp(1, BITS_MAX);
    let mut bytes = [0u8; 8];
    SystemRandom::new().fill(&mut bytes).ok()?;
    i64::try_from(u64::from_be_bytes(bytes) >> (64 - u32::from(bits))).ok()
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
        let numbers = first.random_numbers("naver.slots.room", &values, 10).unwrap();
        assert!(numbers.iter().all(|n| *n < 1 << 10));
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), values.len());
        drop(first);
        let again = Register::open(&path, IfMissing::Refuse).unwrap();
        assert_eq!(again.random_numbers("naver.slots.room", &values, 10).unwrap(), numbers);
        assert_eq!(again.random_scopes().unwrap().len(), 1);
    }

    #[test]
    fn a_full_scope_refuses_rather_than_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::open(&dir.path().join("r.sqlite"), IfMissing::Create).unwrap();
        register.random_number("s", "a", 1).unwrap();
        register.random_number("s", "b", 1).unwrap();
        assert!(matches!(register.random_number("s", "c", 1), Err(RegisterError::Random { .. })));
    }
}
