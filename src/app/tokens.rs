//! Person tokens and consent receipts as the API wants them, over the key folder.
//!
//! Tokens of at most two epochs are accepted. An epoch gives way when its month is over or when an operator rotates;
//! what was promised to partners is looked at on every call and on a timer, so that an epoch closes to the millisecond
//! also when nobody asks for a token. Invariant: a token is accepted or made only under a key that is in the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::domain::{PartnerId, PersonRef, Secret, Timestamp, time::SECOND_MS};
use crate::evidence::{Access, Action, Actor, Evidence, EvidenceError};
use crate::intake::{OpenToken, Opened};
use crate::keys::{
    Destroyed, Environment, EpochList, EpochRefused, Epochs, Expected, KeyError, KeyFolder, PersonTokens, ReceiptError,
    ReceiptRules, SignedBy, epoch_of, parse_receipt_key,
};
use crate::mapping::{MappingSet, ReceiptKind};
use crate::serve;
use crate::view::View;

use super::audit::{AuditBook, AuditFailed};

/// The one purpose for which tokens are given out and accepted.
const PURPOSE: &str = "booking";
/// Where the next epoch cannot be made, it is tried again so much later.
const TRY_AGAIN_MS: i64 = 10 * SECOND_MS;

pub struct Tokens {
    folder: KeyFolder,
    environment: Environment,
    clock: Arc<dyn Clock>,
    /// Held while epochs change.
    epochs: Mutex<EpochList>,
    keys: ArcSwap<Keys>,
    terms: ArcSwap<Terms>,
    /// Of the data folder, so that a key folder out of an old copy is noticed.
    destroyed: PathBuf,
    evidence: Arc<Evidence>,
    view: Arc<View>,
}

/// Keys of the epochs that are accepted, and until when these are the ones.
struct Keys {
    tokens: PersonTokens,
    settled_until: Timestamp,
}

/// What mappings in force say about tokens: who may have them, on whose receipt, how many.
struct Terms {
    partners: Vec<PartnerId>,
    rules: ReceiptRules,
    limits: BTreeMap<PartnerId, serve::TokenLimits>,
    audit_sample_percent: u32,
}

/// Other terms, ready to take effect.
pub struct Prepared {
    tokens: PersonTokens,
    terms: Terms,
}

/// What the daemon is made of that tokens need.
pub struct Around {
    pub clock: Arc<dyn Clock>,
    pub evidence: Arc<Evidence>,
    pub view: Arc<View>,
    /// The list of destroyed keys in the data folder.
    pub destroyed: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum EpochFailed {
    #[error(transparent)]
    Refused(#[from] EpochRefused),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

impl EpochFailed {
    pub fn code(&self) -> &'static str {
        match self {
            EpochFailed::Refused(_) => "epoch_refused",
            EpochFailed::Key(error) => error.code(),
            EpochFailed::Evidence(error) => error.code(),
        }
    }
}

fn accepted(list: &EpochList, now: Timestamp) -> Epochs {
    Epochs { current: list.current(), previous: list.overlapping(now).map(|(number, _)| number) }
}

impl Tokens {
    pub fn open(config: &Config, set: &MappingSet, around: Around) -> Result<Tokens, EpochFailed> {
        let folder = KeyFolder::open(&config.secrets.key_dir)?;
        let environment = environment(config.daemon.environment);
        let Around { clock, evidence, view, destroyed } = around;
        let now = clock.now();
        let mut list = EpochList::read(&folder, now)?;
        list.advance(now);
        finish(&folder, &mut list, &destroyed, &evidence, &view, now)?;
        Destroyed::read(&destroyed)?.refuse(&folder)?;
        list.write(&folder)?;
        let terms = terms(set)?;
        let tokens = PersonTokens::open(&folder, environment, PURPOSE, accepted(&list, now), &terms.partners)?;
        let keys = Keys { tokens, settled_until: list.settled_until(now) };
        let (keys, terms) = (ArcSwap::from_pointee(keys), ArcSwap::from_pointee(terms));
        Ok(Tokens { folder, environment, clock, epochs: Mutex::new(list), keys, terms, destroyed, evidence, view })
    }

    fn lock(&self) -> MutexGuard<'_, EpochList> {
        self.epochs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Nothing takes effect yet.
    pub fn prepare(&self, set: &MappingSet, now: Timestamp) -> Result<Prepared, KeyError> {
        let terms = terms(set)?;
        let epochs = accepted(&self.lock(), now);
        let tokens = PersonTokens::open(&self.folder, self.environment, PURPOSE, epochs, &terms.partners)?;
        Ok(Prepared { tokens, terms })
    }

    pub fn apply(&self, prepared: Prepared) {
        let (list, now) = (self.lock(), self.clock.now());
        self.terms.store(Arc::new(prepared.terms));
        if prepared.tokens.epochs() == accepted(&list, now) {
            let keys = Keys { tokens: prepared.tokens, settled_until: list.settled_until(now) };
            self.keys.store(Arc::new(keys));
        } else {
            // An epoch changed between the two.
            self.load(&list, now);
        }
    }

    /// The keys of now.
    fn keys(&self, now: Timestamp) -> Arc<Keys> {
        let keys = self.keys.load_full();
        if now < keys.settled_until {
            return keys;
        }
        self.roll(now);
        self.keys.load_full()
    }

    /// Opens and closes what is due.
    fn roll(&self, now: Timestamp) {
        let mut list = self.lock();
        if now < self.keys.load().settled_until {
            return;
        }
        let mut ahead = list.clone();
        if ahead.advance(now) {
            if let Err(error) = ahead.write(&self.folder) {
                tracing::error!(code = error.code(), %error, "the list of token epochs cannot be written");
            } else {
                *list = ahead;
                tracing::info!(epoch = list.current(), "person tokens are made in a new epoch");
                self.told(Action::KeyRotated, Actor::Bridge, format!("epoch {}", list.current()), now);
            }
        }
        self.load(&list, now);
    }

    /// Swaps in the keys of the accepted epochs. Without them what there is goes on, but for what has closed.
    fn load(&self, list: &EpochList, now: Timestamp) {
        let (epochs, terms) = (accepted(list, now), self.terms.load());
        let opened = PersonTokens::open(&self.folder, self.environment, PURPOSE, epochs, &terms.partners);
        let keys = match opened {
            Ok(tokens) => Keys { tokens, settled_until: list.settled_until(now).max(now.plus_ms(1)) },
            Err(error) => {
                tracing::error!(code = error.code(), %error, "token keys cannot be read or made; those there are go on");
                let keys = self.keys.load();
                Keys { tokens: keys.tokens.without_all_but(epochs), settled_until: now.plus_ms(TRY_AGAIN_MS) }
            }
        };
        self.keys.store(Arc::new(keys));
    }

    /// To be called now and then: closes and opens epochs, and destroys the keys of those that closed a day ago.
    pub fn tick(&self) {
        let now = self.clock.now();
        self.keys(now);
        let due = self.lock().due(now);
        for number in due {
            match self.destroy(number, Actor::Bridge) {
                Ok(keys) => tracing::info!(epoch = number, keys, "the keys of a closed token epoch are destroyed"),
                Err(error) => tracing::error!(code = error.code(), %error, "keys of a closed epoch are still there"),
            }
        }
    }

    /// Opens the next epoch now; tokens of the open one are accepted for `overlap_ms` longer.
    pub fn rotate(&self, overlap_ms: i64, by: Actor) -> Result<u32, EpochFailed> {
        let now = self.clock.now();
        self.keys(now);
        let mut list = self.lock();
        let mut ahead = list.clone();
        let number = ahead.rotate(now, now.plus_ms(overlap_ms))?;
        let partners = self.terms.load().partners.clone();
        // Everything that can fail, before anything changes.
        let epochs = accepted(&ahead, now);
        let tokens = PersonTokens::open(&self.folder, self.environment, PURPOSE, epochs, &partners)?;
        self.record(Action::KeyRotated, by, format!("epoch {number}"), now)?;
        ahead.write(&self.folder)?;
        self.keys.store(Arc::new(Keys { tokens, settled_until: ahead.settled_until(now) }));
        *list = ahead;
        Ok(number)
    }

    /// Ends an epoch for good: from now on no token of it opens. Returns how many keys there were.
    pub fn destroy(&self, number: u32, by: Actor) -> Result<usize, EpochFailed> {
        let mut list = self.lock();
        let now = self.clock.now();
        let mut ahead = list.clone();
        ahead.destroy(number, now)?;
        // First out of memory; a call that holds the old keys still ends within milliseconds.
        self.load(&ahead, now);
        let record = |name: &str| self.record(Action::KeyDestroyed, by.clone(), name.to_owned(), now);
        let keys = destroy_keys(&self.folder, number, &self.destroyed, record)?;
        ahead.write(&self.folder)?;
        *list = ahead;
        Ok(keys)
    }

    fn record(&self, action: Action, actor: Actor, basis: String, at: Timestamp) -> Result<(), EvidenceError> {
        let position = self.view.durable();
        let entry = Access { at, actor, action, subject: None, from: None, basis, count: 1, position };
        self.evidence.record_blocking(entry).map(|_| ())
    }

    /// From a thread of the plain kind or a worker: nobody waits for the disk.
    fn told(&self, action: Action, actor: Actor, basis: String, at: Timestamp) {
        let position = self.view.durable();
        let entry = Access { at, actor, action, subject: None, from: None, basis, count: 1, position };
        if let Err(error) = self.evidence.record_later(entry) {
            tracing::error!(code = error.code(), %error, "a key event could not be recorded");
        }
    }
}

/// Destroys the keys of an epoch: key and mark, then the data folder's list, then evidence.
fn destroy_keys(
    folder: &KeyFolder,
    number: u32,
    list: &std::path::Path,
    mut record: impl FnMut(&str) -> Result<(), EvidenceError>,
) -> Result<usize, EpochFailed> {
    let of_epoch = |name: &String| epoch_of(name) == Some(number);
    let marked = |name: &String| name.strip_suffix(".destroyed").map(str::to_owned).filter(of_epoch);
    let names = folder.names()?;
    let names: BTreeSet<String> =
        names.iter().filter(|name| of_epoch(name)).cloned().chain(names.iter().filter_map(marked)).collect();
    let names: Vec<String> = names.into_iter().collect();
    for name in &names {
        folder.destroy(name)?;
    }
    Destroyed::add(list, &names)?;
    for name in &names {
        record(name)?;
    }
    Ok(names.len())
}

/// A destruction that a crash cut short is done to its end.
fn finish(
    folder: &KeyFolder,
    list: &mut EpochList,
    destroyed: &std::path::Path,
    evidence: &Evidence,
    view: &View,
    now: Timestamp,
) -> Result<(), EpochFailed> {
    let names = folder.names()?;
    let marked: BTreeSet<u32> =
        names.iter().filter_map(|name| name.strip_suffix(".destroyed")).filter_map(epoch_of).collect();
    let open = list.epochs().iter().filter(|epoch| !epoch.is_destroyed()).map(|epoch| epoch.number);
    let begun: Vec<u32> = open.filter(|number| marked.contains(number) && *number != list.current()).collect();
    for number in begun {
        list.destroy(number, now)?;
        destroy_keys(folder, number, destroyed, |name| {
            let (action, basis, position) = (Action::KeyDestroyed, name.to_owned(), view.durable());
            let entry =
                Access { at: now, actor: Actor::Bridge, action, subject: None, from: None, basis, count: 1, position };
            evidence.record_blocking(entry).map(|_| ())
        })?;
    }
    Ok(())
}

fn terms(set: &MappingSet) -> Result<Terms, KeyError> {
    let partners = set.partners().cloned().collect();
    let audit_sample_percent = set.policy().receipts.audit_sample_percent;
    Ok(Terms { partners, rules: rules(set)?, limits: limits(set), audit_sample_percent })
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
    let age_ms_max = i64::from(receipts.age_s_max) * SECOND_MS;
    let rules = ReceiptRules::new(age_ms_max, issuers.collect(), partners.collect(), &Secret::new(compare));
    Ok(rules.with_consents(consents(set)))
}

/// Digests of the texts that a partner's mappings in force were approved with.
fn consents(set: &MappingSet) -> BTreeMap<PartnerId, BTreeSet<String>> {
    let mut approved = BTreeMap::<PartnerId, BTreeSet<String>>::new();
    for (partner, _, mapping) in set.feeds() {
        let name = mapping.legal.consent.as_ref().map(|name| name.get_ref().as_str());
        if let Some(text) = name.and_then(|name| set.consent(name)) {
            let hex = digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            approved.entry(partner.clone()).or_default().insert(hex);
        }
    }
    approved
}

/// The partner's entry, lowered by every mapping in force that has a `[lookup]`.
fn limits(set: &MappingSet) -> BTreeMap<PartnerId, serve::TokenLimits> {
    let of = |id: &PartnerId| {
        let lookup = set.partner(id)?.lookup.get_ref();
        let entry = serve::TokenLimits { day_max: lookup.persons_per_day_max, epoch_max: lookup.persons_per_epoch_max };
        let rules =
            set.feeds().filter(|(partner, ..)| *partner == id).filter_map(|(.., mapping)| mapping.lookup.as_ref());
        let limits = rules.fold(entry, |limits, rule| serve::TokenLimits {
            day_max: limits.day_max.min(*rule.persons_per_day_max.get_ref()),
            epoch_max: limits.epoch_max.min(*rule.persons_per_epoch_max.get_ref()),
        });
        Some((id.clone(), limits))
    };
    set.partners().filter_map(of).collect()
}

impl OpenToken for Tokens {
    fn open(&self, partner: &PartnerId, text: &str) -> Opened {
        use crate::keys::Opened as Found;
        match self.keys(self.clock.now()).tokens.opened(partner, text) {
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
        about: serve::About<'_>,
        now: Timestamp,
    ) -> Result<serve::Consent, serve::ReceiptFault> {
        let terms = self.terms.load();
        let serve::About { ci, guardian } = about;
        let expected = Expected { partner, purpose: PURPOSE, ci, guardian, now };
        let receipt = terms.rules.verify(receipt, expected).map_err(|error| match error {
            ReceiptError::Expired => serve::ReceiptFault::Expired,
            _ => serve::ReceiptFault::Invalid,
        })?;
        let single = receipt.single();
        let signed = match receipt.signed_by {
            SignedBy::Issuer => serve::SignedConsent::ByIssuer,
            SignedBy::Partner => {
                let is_drawn = is_drawn(terms.audit_sample_percent);
                let audit = serve::Audit { receipt: receipt.id, commitment: receipt.commitment, is_drawn };
                serve::SignedConsent::ByPartner { audit }
            }
        };
        Ok(serve::Consent { single, signed })
    }

    fn synthetic(&self, partner: &PartnerId, ci: &[u8], now: Timestamp) -> Result<serve::Synthetic, serve::SealFailed> {
        let keys = self.keys(now);
        let Some(PersonRef::Nobody(number)) = keys.tokens.nobody(partner, ci) else { return Err(serve::SealFailed) };
        let before = match keys.tokens.nobody_before(partner, ci) {
            Some((epoch, PersonRef::Nobody(number))) => Some((epoch, number)),
            _ => None,
        };
        Ok(serve::Synthetic { number, before })
    }

    fn seal(
        &self,
        partner: &PartnerId,
        person: PersonRef,
        now: Timestamp,
    ) -> Result<serve::SealedToken, serve::SealFailed> {
        let keys = self.keys(now);
        let text = keys.tokens.token(partner, person).ok_or(serve::SealFailed)?;
        let expires_at = EpochList::expires_at(now);
        Ok(serve::SealedToken { text, epoch: keys.tokens.epochs().current, expires_at })
    }

    fn limits(&self, partner: &PartnerId) -> serve::TokenLimits {
        self.terms.load().limits.get(partner).copied().unwrap_or(serve::TokenLimits { day_max: 0, epoch_max: 0 })
    }
}

/// A draw of `percent` in a hundred; where the system gives no random numbers, all are drawn.
fn is_drawn(percent: u32) -> bool {
    let mut random = [0u8; 8];
    match SystemRandom::new().fill(&mut random) {
        Ok(()) => u64::from_be_bytes(random) % 100 < u64::from(percent),
        Err(_) => true,
    }
}

/// Tokens given out, in the evidence log, and receipts set aside for audit.
pub struct Recorded {
    pub evidence: Arc<Evidence>,
    pub audit: AuditBook,
}

impl serve::RecordAccess for Recorded {
    fn token_given(&self, access: &serve::TokenAccess) -> Result<(), serve::RecordFailed> {
        let action = match access.acting {
            serve::Acting::Person => Action::TokenGiven,
            serve::Acting::Guardian => Action::TokenGivenToGuardian,
        };
        let failed = |error: AuditFailed| serve::RecordFailed { cause: error.to_string() };
        let basis = match &access.signed {
            serve::SignedConsent::ByIssuer => "consent_receipt",
            serve::SignedConsent::ByPartner { audit } => {
                self.audit.note(&access.partner, audit, access.at).map_err(failed)?;
                "consent_receipt_self_signed"
            }
        };
        let record = Access {
            at: access.at,
            actor: Actor::Partner(access.partner.clone()),
            action,
            subject: Some(access.person),
            from: None,
            basis: basis.to_owned(),
            count: 1,
            position: access.position,
        };
        let recorded = self.evidence.record_blocking(record);
        recorded.map(|_| ()).map_err(|error| serve::RecordFailed { cause: error.to_string() })
    }
}

#[cfg(test)]
mod tests;
