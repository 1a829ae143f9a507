//! Texts that must never leave because somebody planted them to find out: the list, and the search for them.

/// Canaries that a file may name. Each costs a comparison where its first byte is met.
pub const CANARIES_MAX: usize = 256;
/// Shorter ones would be met by chance.
pub const CANARY_BYTES_MIN: usize = 6;

/// Texts that are planted where nobody publishes from, and therefore never leave.
#[derive(Default)]
pub struct Canaries {
    texts: Vec<Box<str>>,
    /// Is a byte the first of a canary?
    starts: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCanary {
    #[error("a canary has {CANARY_BYTES_MIN} bytes at least")]
    Short,
    #[error("at most {CANARIES_MAX} canaries are looked for")]
    Many,
}

impl Canaries {
    /// # Errors
    /// Too short or too many.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Canaries, BadCanary> {
        let texts: Vec<Box<str>> = texts.into_iter().map(Box::from).collect();
        if texts.len() > CANARIES_MAX {
            return Err(BadCanary::Many);
        }
        if texts.iter().any(|text| text.len() < CANARY_BYTES_MIN) {
            return Err(BadCanary::Short);
        }
        let mut starts = vec![false; if texts.is_empty() { 0 } else { 256 }];
        for text in &texts {
            starts[usize::from(text.as_bytes()[0])] = true;
        }
        Ok(Canaries { texts, starts })
    }

    /// One canary a line; empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// As `new`.
    pub fn parse(file: &str) -> Result<Canaries, BadCanary> {
        let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Canaries::new(lines)
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub fn is_in(&self, text: &str) -> bool {
        if self.texts.is_empty() {
            return false;
        }
        let bytes = text.as_bytes();
        bytes.iter().enumerate().any(|(at, byte)| {
            self.starts[usize::from(*byte)]
                && self.texts.iter().any(|canary| bytes[at..].starts_with(canary.as_bytes()))
        })
    }
}
