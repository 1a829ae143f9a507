//! An officer's signing key: an Ed25519 key in a file that a passphrase opens. Made and used on the officer's own
//! machine; the daemon has public keys only.
//!
//! ```text
//! slotbridge-officer-key-v1
//! public: ed25519:<base64url>
//! kdf: argon2id m=65536 t=3 p=1 salt=<base64url>
//! cipher: aes-256-gcm nonce=<base64url>
//! key: <base64url of the sealed PKCS#8 and its tag>
//! ```
//! The lines before `key:` are authenticated with it. The cost of a guess is written in the file and bounded when it is
//! read, from below so that a changed file cannot make guessing cheap, from above so that it cannot take all memory.
//! PKCS#8 and the passphrase's key are wiped; ring's own copy of the open key is not, for ring offers no way.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::domain::Secret;

use super::folder::{KeyError, refuse_exposed};

const FORMAT: &str = "slotbridge-officer-key-v1";
/// A key file has some 400 bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;
/// Short ones are guessed whatever the cost of a guess.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// 64 MiB three times: the second recommendation of RFC 9106, a quarter of a second on an office machine.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
const PASSES: std::ops::RangeInclusive<u32> = 2..=16;
const LANES: std::ops::RangeInclusive<u32> = 1..=4;
const SALT_BYTES: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum OfficerKeyError {
    #[error(transparent)]
    File(#[from] KeyError),
    #[error("{path}: a key is there already; it is not overwritten")]
    Exists { path: PathBuf },
    #[error("{path}: not an officer's key file: {what}")]
    Shape { path: PathBuf, what: &'static str },
    #[error("{path}: wrong passphrase, or the file was changed")]
    Passphrase { path: PathBuf },
    #[error("the passphrase has fewer than {PASSPHRASE_CHARS_MIN} characters")]
    Short,
}

impl OfficerKeyError {
    pub fn code(&self) -> &'static str {
        match self {
            OfficerKeyError::File(error) => error.code(),
            OfficerKeyError::Exists { .. } => "officer_key_exists",
            OfficerKeyError::Shape { .. } => "officer_key_shape",
            OfficerKeyError::Passphrase { .. } => "officer_key_passphrase",
            OfficerKeyError::Short => "officer_key_passphrase_short",
        }
    }
}

/// An open key.
pub struct OfficerKey(Ed25519KeyPair);

impl std::fmt::Debug for OfficerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OfficerKey({})", self.public())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A key file, still closed.
struct Sealed {
    public: String,
    cost: Cost,
    salt: Vec<u8>,
    nonce: [u8; NONCE_LEN],
    key: Vec<u8>,
}

/// The first line of a file that nobody else may read; for scripts.
pub fn passphrase_in(path: &Path) -> Result<Secret, OfficerKeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let meta = fs::symlink_metadata(path).map_err(io)?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err(KeyError::Special { path: path.to_owned(), wanted: "file of at most 4 KiB" }.into());
    }
    refuse_exposed(path, &meta, "600")?;
    let bytes = Zeroizing::new(fs::read(path).map_err(io)?);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Secret::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
}

impl OfficerKey {
    /// Makes a key and writes its file, 0600. Never overwrites one.
    pub fn generate(path: &Path, passphrase: &Secret) -> Result<OfficerKey, OfficerKeyError> {
        let chars = String::from_utf8_lossy(passphrase.expose()).chars().count();
        if chars < PASSPHRASE_CHARS_MIN {
            return Err(OfficerKeyError::Short);
        }
        let random = SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| KeyError::Random)?;
        let mut key = Zeroizing::new(pkcs8.as_ref().to_vec());
        let pair = Ed25519KeyPair::from_pkcs8(&key).map_err(|_| KeyError::Random)?;
        let open = OfficerKey(pair);
        let (mut salt, mut nonce) = (vec![0; SALT_BYTES], [0; NONCE_LEN]);
        random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(|_| KeyError::Random)?;
        let mut sealed = Sealed { public: open.public(), cost: COST, salt, nonce, key: Vec::new() };
        let cipher = sealed.cipher(passphrase).ok_or(KeyError::Random)?;
        let head = sealed.head();
        let tag = cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head.as_bytes()), &mut key)
            .map_err(|_| KeyError::Random)?;
        sealed.key = [key.as_slice(), tag.as_ref()].concat();
        write_new(path, &format!("{head}key: {}\n", URL_SAFE_NO_PAD.encode(&sealed.key)))?;
        Ok(open)
    }

    /// Opens a key file that nobody else may read.
    pub fn open(path: &Path, passphrase: &Secret) -> Result<OfficerKey, OfficerKeyError> {
        let sealed = Sealed::read(path)?;
        let wrong = || OfficerKeyError::Passphrase { path: path.to_owned() };
        let cipher = sealed.cipher(passphrase).ok_or_else(wrong)?;
        let head = sealed.head();
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        let mut key = Zeroizing::new(sealed.key.clone());
        let pkcs8 = cipher.open_in_place(nonce, Aad::from(head.as_bytes()), &mut key).map_err(|_| wrong())?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| wrong())?;
        let open = OfficerKey(pair);
        if open.public() != sealed.public {
            return Err(wrong());
        }
        Ok(open)
    }

    /// The public key in the file, which no passphrase protects: to show, not to trust.
    pub fn public_of(path: &Path) -> Result<String, OfficerKeyError> {
        Ok(Sealed::read(path)?.public)
    }

    /// As a roster writes it.
    pub fn public(&self) -> String {
        format!("ed25519:{}", URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref()))
    }

    /// 64 bytes over exactly this text.
    pub fn sign(&self, text: &str) -> Vec<u8> {
        self.0.sign(text.as_bytes()).as_ref().to_vec()
    }
}

impl Sealed {
    fn read(path: &Path) -> Result<Sealed, OfficerKeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let meta = fs::symlink_metadata(path).map_err(io)?;
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
            return Err(KeyError::Special { path: path.to_owned(), wanted: "file of at most 4 KiB" }.into());
        }
        refuse_exposed(path, &meta, "600")?;
        let mut text = String::new();
        let file = fs::File::open(path).map_err(io)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
        let shape = |what: &'static str| OfficerKeyError::Shape { path: path.to_owned(), what };
        let sealed = Sealed::parse(&text).map_err(shape)?;
        let whole = format!("{}key: {}\n", sealed.head(), URL_SAFE_NO_PAD.encode(&sealed.key));
        if whole == text { Ok(sealed) } else { Err(shape("written in another form")) }
    }

    fn parse(text: &str) -> Result<Sealed, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return Err("another format");
        }
        let mut value = |label: &str| lines.next().and_then(|line| line.strip_prefix(label)?.strip_prefix(": "));
        let public = value("public").ok_or("no public key")?.to_owned();
        let kdf = value("kdf").and_then(|kdf| kdf.strip_prefix("argon2id ")).ok_or("no argon2id")?;
        let words: Vec<&str> = kdf.split(' ').collect();
        let [memory, passes, lanes, salt] = words.as_slice() else { return Err("kdf of another form") };
        let number = |word: &str, label: &str| word.strip_prefix(label)?.parse::<u32>().ok();
        let cost = Cost {
            memory_kib: number(memory, "m=").filter(|m| MEMORY_KIB.contains(m)).ok_or("memory out of bounds")?,
            passes: number(passes, "t=").filter(|t| PASSES.contains(t)).ok_or("passes out of bounds")?,
            lanes: number(lanes, "p=").filter(|p| LANES.contains(p)).ok_or("lanes out of bounds")?,
        };
        let bytes = |text: Option<&str>| text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let salt = bytes(salt.strip_prefix("salt=")).filter(|salt| salt.len() == SALT_BYTES).ok_or("no salt")?;
        let nonce = bytes(value("cipher").and_then(|cipher| cipher.strip_prefix("aes-256-gcm nonce=")));
        let nonce = nonce.and_then(|nonce| nonce.try_into().ok()).ok_or("no nonce")?;
        let key = bytes(value("key")).ok_or("no key")?;
        Ok(Sealed { public, cost, salt, nonce, key })
    }

    /// What is authenticated with the key.
    fn head(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let (salt, nonce) = (URL_SAFE_NO_PAD.encode(&self.salt), URL_SAFE_NO_PAD.encode(self.nonce));
        let public = &self.public;
        format!(
            "{FORMAT}\npublic: {public}\nkdf: argon2id m={memory_kib} t={passes} p={lanes} salt={salt}\n\
             cipher: aes-256-gcm nonce={nonce}\n"
        )
    }

    fn cipher(&self, passphrase: &Secret) -> Option<LessSafeKey> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(memory_kib, passes, lanes, Some(key.len())).ok()?;
        let kdf = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        kdf.hash_password_into(passphrase.expose(), &self.salt, key.as_mut_slice()).ok()?;
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).ok()?))
    }
}

fn write_new(path: &Path, text: &str) -> Result<(), OfficerKeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(OfficerKeyError::Exists { path: path.to_owned() });
        }
        Err(source) => return Err(io(source).into()),
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn passphrase(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_key_opens_with_its_passphrase_and_signs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kim.key");
        let pass = passphrase("긴 암호문 열두 글자 이상");
        let made = OfficerKey::generate(&path, &pass).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let open = OfficerKey::open(&path, &pass).unwrap();
        assert_eq!(open.public(), made.public());
        assert_eq!(OfficerKey::public_of(&path).unwrap(), made.public());
        assert_eq!(open.sign("글\n"), made.sign("글\n"));
        let public = URL_SAFE_NO_PAD.decode(&open.public()["ed25519:".len()..]).unwrap();
        let verifier = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
        verifier.verify("글\n".as_bytes(), &open.sign("글\n")).unwrap();

        let wrong = OfficerKey::open(&path, &passphrase("another passphrase")).unwrap_err();
        assert_eq!(wrong.code(), "officer_key_passphrase");
        assert!(wrong.to_string().contains("wrong passphrase"), "{wrong}");
        let again = OfficerKey::generate(&path, &pass).unwrap_err();
        assert_eq!(again.code(), "officer_key_exists");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!format!("{made:?}{wrong:?}").contains(text.lines().last().unwrap()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(OfficerKey::open(&path, &pass).unwrap_err().code(), "key_exposed");
    }

    #[test]
    fn a_changed_file_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kim.key");
        let pass = passphrase("a long passphrase");
        OfficerKey::generate(&path, &pass).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            OfficerKey::open(&path, &pass).unwrap_err().code()
        };
        // A cheaper guess, more memory than a machine has, another key, another public key, another form.
        assert_eq!(changed("m=65536", "m=8"), "officer_key_shape");
        assert_eq!(changed("m=65536", "m=4294967295"), "officer_key_shape");
        assert_eq!(changed("t=3", "t=2"), "officer_key_passphrase");
        assert_eq!(changed("v1\n", "v2\n"), "officer_key_shape");
        assert_eq!(changed("key: ", "key:  "), "officer_key_shape");
        let line = text.lines().last().unwrap();
        let flipped = if line.ends_with('A') { "Q" } else { "A" };
        let other = format!("{}{}", &line[..10], flipped);
        let other = if line[..11] == other { format!("{}B", &line[..10]) } else { other };
        assert_eq!(changed(&line[..11], &other), "officer_key_passphrase");
        let public = &text.lines().nth(1).unwrap()[16..26];
        assert_eq!(changed(public, "AAAAAAAAAA"), "officer_key_passphrase");
    }

    #[test]
    fn a_short_passphrase_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = OfficerKey::generate(&dir.path().join("kim.key"), &passphrase("짧은 암호문")).unwrap_err();
        assert_eq!(refused.code(), "officer_key_passphrase_short");
    }
}
