//! Person tokens and consent receipts as the API wants them, over the key folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::{self, Config};
use crate::domain::{PartnerId, PersonRef, Secret, SeriesId, Timestamp};
use crate::evidence::{Access, Action, Actor, Evidence};
use crate::intake::{OpenToken, Opened};
use crate::keys::{
    Environment, Epochs, Expected, KeyError, KeyFolder, PersonTokens, ReceiptError, ReceiptRules, parse_receipt_key,
};
use crate::mapping::{MappingSet, ReceiptKind};
use crate::serve;

/// The one purpose for which tokens are given out and accepted.
const PURPOSE: &str = "booking";

pub struct Tokens {
    folder: KeyFolder,
    environment: Environment,
    /// Of the current month and, while they overlap, the last.
    keys: ArcSwap<PersonTokens>,
    terms: ArcSwap<Terms>,
}

/// What mappings in force say about tokens: who may have them, on whose receipt, how many.
struct Terms {
    partners: Vec<PartnerId>,
    rules: ReceiptRules,
    limits: BTreeMap<PartnerId, serve::TokenLimits>,
}

/// Other terms, ready to take effect.
pub struct Prepared {
    keys: PersonTokens,
    terms: Terms,
}

/// Epochs are months in Seoul, `2611`; tokens of the last month are accepted through this one.
fn epochs(now: Timestamp) -> Epochs {
    let text = now.rfc3339();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok()).unwrap_or(1);
    let (year, month) = (number(2..4), number(5..7));
    let previous = if month == 1 { (year + 99) % 100 * 100 + 12 } else { year * 100 + month - 1 };
    Epochs { current: year * 100 + month, previous: Some(previous) }
}

/// When tokens of the epoch at `now` stop being accepted: at the end of the next month.
fn expires_at(now: Timestamp) -> Timestamp {
    let text = now.rfc3339();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<i32>().ok()).unwrap_or(1);
    let months = number(0..4) * 12 + (number(5..7) - 1) + 2;
    let first = format!("{:04}-{:02}-01T00:00:00+09:00", months / 12, months % 12 + 1);
    Timestamp::parse_rfc3339(&first).unwrap_or(now)
}

impl Tokens {
    pub fn open(config: &Config, set: &MappingSet, now: Timestamp) -> Result<Tokens, KeyError> {
        let folder = KeyFolder::open(&config.secrets.key_dir)?;
        let environment = environment(config.daemon.environment);
        let Prepared { keys, terms } = prepared(&folder, environment, set, now)?;
        Ok(Tokens { folder, environment, keys: ArcSwap::from_pointee(keys), terms: ArcSwap::from_pointee(terms) })
    }

    /// Nothing takes effect yet.
    pub fn prepare(&self, set: &MappingSet, now: Timestamp) -> Result<Prepared, KeyError> {
        prepared(&self.folder, self.environment, set, now)
    }

    pub fn apply(&self, prepared: Prepared) {
        self.keys.store(Arc::new(prepared.keys));
        self.terms.store(Arc::new(prepared.terms));
    }

    /// The keys of the month; a new month's are made when it begins.
    fn keys(&self, now: Timestamp) -> Arc<PersonTokens> {
        let keys = self.keys.load_full();
        if keys.epochs().current == epochs(now).current {
            return keys;
        }
        match PersonTokens::open(&self.folder, self.environment, PURPOSE, epochs(now), &self.terms.load().partners) {
            Ok(new) => {
                self.keys.store(Arc::new(new));
                self.keys.load_full()
            }
            Err(error) => {
                tracing::error!(code = error.code(), %error, "the new month's token keys cannot be made; the old go on");
                keys
            }
        }
    }
}

fn prepared(
    folder: &KeyFolder,
    environment: Environment,
    set: &MappingSet,
    now: Timestamp,
) -> Result<Prepared, KeyError> {
    let partners: Vec<PartnerId> = set.partners().cloned().collect();
    let keys = PersonTokens::open(folder, environment, PURPOSE, epochs(now), &partners)?;
    Ok(Prepared { keys, terms: Terms { partners, rules: rules(set)?, limits: limits(set) } })
}

pub fn environment(environment: config::Environment) -> Environment {
    match environment {
        config::Environment::Test => Environment::Test,
        config::Environment::Live => Environment::Live,
    }
}

fn rules(set: &MappingSet) -> Result<ReceiptRules, KeyError> {
    let receipts = &set.policy().receipts;
    let issuers =
        receipts.issuers.iter().filter_map(|issuer| Some((issuer.id.clone(), parse_receipt_key(&issuer.public_key)?)));
    let partners = set.partners().filter_map(|id| {
        let lookup = set.partner(id)?.lookup.get_ref();
        let key = lookup.receipt_public_key.as_deref().filter(|_| lookup.receipts == ReceiptKind::Partner)?;
        Some((id.clone(), parse_receipt_key(key)?))
    });
    let mut compare = vec![0; 32];
    SystemRandom::new().fill(&mut compare).map_err(|_| KeyError::Random)?;
    let age_ms_max = i64::from(receipts.age_s_max) * 1_000;
    Ok(ReceiptRules::new(age_ms_max, issuers.collect(), partners.collect(), &Secret::new(compare)))
}

fn limits(set: &MappingSet) -> BTreeMap<PartnerId, serve::TokenLimits> {
    let of = |id: &PartnerId| {
        let lookup = set.partner(id)?.lookup.get_ref();
        let limits =
            serve::TokenLimits { day_max: lookup.persons_per_day_max, epoch_max: lookup.persons_per_epoch_max };
        Some((id.clone(), limits))
    };
    set.partners().filter_map(of).collect()
}

impl OpenToken for Tokens {
    fn open(&self, partner: &PartnerId, text: &str) -> Opened {
        use crate::keys::Opened as Found;
        match self.keys.load().opened(partner, text) {
            Found::Known(person) => Opened::Person(PersonRef::Known(person)),
            Found::Nobody(number) => Opened::Person(PersonRef::Nobody(number)),
            Found::Expired => Opened::Expired,
            Found::Unknown => Opened::Unknown,
        }
    }
}

impl serve::PersonTokens for Tokens {
    fn check_receipt(
        &self,
        partner: &PartnerId,
        receipt: &str,
        ci: &[u8],
        now: Timestamp,
    ) -> Result<Option<SeriesId>, serve::ReceiptFault> {
        match self.terms.load().rules.verify(receipt, Expected { partner, purpose: PURPOSE, ci, now }) {
            Ok(receipt) => Ok(Some(receipt.series)),
            Err(ReceiptError::Expired) => Err(serve::ReceiptFault::Expired),
            Err(_) => Err(serve::ReceiptFault::Invalid),
        }
    }

    fn synthetic(&self, partner: &PartnerId, ci: &[u8], now: Timestamp) -> Result<u64, serve::SealFailed> {
        match self.keys(now).nobody(partner, ci) {
            Some(PersonRef::Nobody(number)) => Ok(number),
            _ => Err(serve::SealFailed),
        }
    }

    fn seal(
        &self,
        partner: &PartnerId,
        person: PersonRef,
        now: Timestamp,
    ) -> Result<serve::SealedToken, serve::SealFailed> {
        let keys = self.keys(now);
        let text = keys.token(partner, person).ok_or(serve::SealFailed)?;
        Ok(serve::SealedToken { text, epoch: keys.epochs().current, expires_at: expires_at(now) })
    }

    fn limits(&self, partner: &PartnerId) -> serve::TokenLimits {
        self.terms.load().limits.get(partner).copied().unwrap_or(serve::TokenLimits { day_max: 0, epoch_max: 0 })
    }
}

/// Tokens given out, in the evidence log.
pub struct Recorded(pub Arc<Evidence>);

impl serve::RecordAccess for Recorded {
    fn token_given(&self, access: &serve::TokenAccess) -> Result<(), serve::RecordFailed> {
        let action = match access.acting {
            serve::Acting::Person => Action::TokenGiven,
            serve::Acting::Guardian => Action::TokenGivenToGuardian,
        };
        let record = Access {
            at: access.at,
            actor: Actor::Partner(access.partner.clone()),
            action,
            subject: Some(access.person),
            from: None,
            basis: "consent_receipt".to_owned(),
            count: 1,
            position: access.position,
        };
        let recorded = self.0.record_blocking(record);
        recorded.map(|_| ()).map_err(|error| serve::RecordFailed { cause: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_month_in_seoul_and_overlaps_the_next() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let new_year = at("2026-12-31T15:00:00Z");
        assert_eq!(epochs(new_year), Epochs { current: 2701, previous: Some(2612) });
        assert_eq!(epochs(new_year.plus_ms(-1)), Epochs { current: 2612, previous: Some(2611) });
        assert_eq!(expires_at(new_year).rfc3339(), "2027-03-01T00:00:00+09:00");
        assert_eq!(expires_at(new_year.plus_ms(-1)).rfc3339(), "2027-02-01T00:00:00+09:00");
    }
}
