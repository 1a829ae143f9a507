//! Tables as RFC 4180, UTF-8 without a byte order mark. A cell that a spreadsheet would run as a formula begins with an
//! apostrophe instead.

/// One line with its CRLF.
pub fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let mut line = String::new();
    for (at, text) in cells.into_iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        line.push_str(&cell(text.as_ref()));
    }
    line.push_str("\r\n");
    line
}

fn cell(text: &str) -> String {
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
        || text.starts_with(['\t', '\r', '\n']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', '\'']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_never_a_formula() {
        assert_eq!(line(["a", "나", "1.5"]), "a,나,1.5\r\n");
        assert_eq!(line(["a,b", "say \"x\"", "two\nlines"]), "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n");
        for formula in ["=1+1", "+82-2", "-1", "@SUM(A1)", "\t=1", " =1", "＝1"] {
            assert_eq!(line([formula]), format!("\"'{formula}\"\r\n"));
        }
    }
}
