//! What a text that is signed may not hold: anything that is read otherwise than it stands there.

use unicode_normalization::is_nfc;

use super::flaw::Flaw;

/// Signature lines start so.
pub(super) const SIGNATURE: &str = "— ";

/// Control characters other than a newline, zero-width and bidirectional ones, fillers and selectors that show nothing.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5
            | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164
            | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// # Errors
/// The first hidden character, or a text that is not in normal form C: two such texts look alike.
pub(super) fn refuse_hidden(text: &str, what: &str) -> Result<(), Flaw> {
    let hidden = |character: String| Flaw::Hidden { what: what.to_owned(), character };
    match text.chars().find(|c| is_hidden(*c)) {
        Some(c) => Err(hidden(format!("U+{:04X}", u32::from(c)))),
        None if !is_nfc(text) => Err(hidden("a character not in NFC".to_owned())),
        None => Ok(()),
    }
}

/// # Errors
/// As `refuse_hidden`; a line that looks like a signature; no newline at the end.
pub(super) fn refuse_unsignable(text: &str) -> Result<(), Flaw> {
    refuse_hidden(text, "the text")?;
    if text.lines().any(|line| line.starts_with(SIGNATURE)) {
        return Err(Flaw::FalseSignature);
    }
    if !text.ends_with('\n') {
        return Err(Flaw::NotANote { what: "the text".to_owned(), why: "it does not end with a newline".to_owned() });
    }
    Ok(())
}
