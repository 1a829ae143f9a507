//! Makes texts out of mappings safe to be read and signed: what could make a text read differently from what it says
//! is written out as `\u{…}`.
//!
//! Written out: controls and line ends, white space other than the space, format characters (bidirectional and
//! zero-width ones among them), fillers, letters that join or decorate the ones before, letters of scripts that turn
//! the direction, private and unassigned special ones; and the backslash, so that two texts never look the same.
//! Refusing instead would leave an officer without the page that shows what is wrong.

/// The text on one line, with nothing hidden in it.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => plain.push_str("\\\\"),
            c if is_treacherous(c) => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

/// In curly quotes, which the text cannot close: what an author wrote, told from what the program says.
pub fn quoted(plain: &str) -> String {
    let mut quoted = String::with_capacity(plain.len() + 6);
    quoted.push('“');
    for c in plain.chars() {
        match c {
            '“' | '”' => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('”');
    quoted
}

/// Has no place in a text that somebody signs.
pub fn is_treacherous(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(u32::from(c),
            // soft hyphen, joiners of letters, Arabic and Syriac marks
            0xAD | 0x34F | 0x61C | 0x300..=0x36F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE20..=0xFE2F
            // right to left
            | 0x590..=0x8FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF | 0x10800..=0x10FFF | 0x1E800..=0x1EFFF
            // conjoining Hangul and fillers
            | 0x1100..=0x11FF | 0xA960..=0xA97F | 0xD7B0..=0xD7FF | 0x3164 | 0xFFA0 | 0x2800
            // Mongolian and Khmer invisibles
            | 0x17B4 | 0x17B5 | 0x180B..=0x180F
            // zero width, direction, invisible operators, variation selectors, annotations
            | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFE00..=0xFE0F | 0xFFF0..=0xFFFF
            | 0x110BD | 0x110CD | 0x13430..=0x1345F | 0x1BCA0..=0x1BCAF | 0x1D165..=0x1D182 | 0xE0000..=0xE0FFF
            // private use
            | 0xE000..=0xF8FF | 0xF0000..=0x10FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hidden_characters_are_written_out_and_others_stay() {
        let usual = "남은 수량 (FREE): ‘10 이상’, 50%·3차 – A→B";
        assert_eq!(plain(usual), usual);
        assert_eq!(plain("a\nb\\c"), "a\\u{a}b\\\\c");
        assert_eq!(plain("\u{202e}x\u{200b}\u{feff}\u{a0}\u{2028}"), "\\u{202e}x\\u{200b}\\u{feff}\\u{a0}\\u{2028}");
        assert_eq!(plain("שלום"), "\\u{5e9}\\u{5dc}\\u{5d5}\\u{5dd}");
        assert_eq!(quoted("그는 “예”라고"), "“그는 \\u{201c}예\\u{201d}라고”");
    }

    proptest! {
        #[test]
        fn nothing_treacherous_passes_and_no_two_texts_become_one(
            a in proptest::collection::vec(any::<char>(), 0..20).prop_map(|c| c.into_iter().collect::<String>()),
            b in "[\\\\u{}0-9a-f\u{200b}\u{202e}]{0,12}",
            c in "[\\\\u{}0-9a-f\u{200b}\u{202e}]{0,12}",
        ) {
            prop_assert!(!plain(&a).chars().any(is_treacherous));
            prop_assert_eq!(plain(&b) == plain(&c), b == c);
        }
    }
}
