//! The normal form of a mapping file: what `mappings fmt` writes.

use unicode_normalization::UnicodeNormalization;

/// Normal form C, LF, no byte order mark, no blanks at the ends of lines, one line feed at the end. Words, order and
/// comments stay. Blanks stay where a text of several lines may hold them.
pub fn normal_form(text: &str) -> String {
    let text: String = text.trim_start_matches('\u{FEFF}').nfc().collect();
    // A line may end in several CR; one pass takes all of them.
    let text = text.split('\n').map(|line| line.trim_end_matches('\r')).collect::<Vec<_>>().join("\n");
    let holds_long_text = text.contains("\"\"\"") || text.contains("'''");
    let mut normal = String::with_capacity(text.len());
    for line in text.lines() {
        normal.push_str(if holds_long_text { line } else { line.trim_end_matches([' ', '\t', '\r']) });
        normal.push('\n');
    }
    let kept = normal.trim_end_matches('\n').len();
    normal.truncate(kept);
    if !normal.is_empty() {
        normal.push('\n');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::testing::shipped_files;
    use proptest::prelude::*;

    #[test]
    fn bytes_change_and_meaning_does_not() {
        let text = "\u{FEFF}# \u{1112}\u{1161}\u{11ab}  \r\nkey = \"a\"\t\r\n\r\n\n";
        assert_eq!(normal_form(text), "# 한\nkey = \"a\"\n");
        let long = "a = \"\"\"x  \ny\"\"\"";
        assert_eq!(normal_form(long), "a = \"\"\"x  \ny\"\"\"\n");
        assert_eq!(normal_form(""), "");
    }

    #[test]
    fn the_shipped_files_are_in_normal_form() {
        for (name, bytes) in shipped_files() {
            let text = String::from_utf8(bytes).unwrap();
            assert!(normal_form(&text) == text, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_so(text in "[a# \t\r\n\"'가\u{1112}\u{1161}]{0,60}") {
            let once = normal_form(&text);
            prop_assert_eq!(normal_form(&once), once);
        }
    }
}
