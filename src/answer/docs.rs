//! The page that documents every code.

use std::fmt::Write;

use super::Code;

/// Markdown: one section a code, in the enum's order.
pub fn codes_markdown() -> String {
    let mut page = String::from(
        "# Problem codes\n\n\
         Bodies of errors are `application/problem+json` (RFC 9457). `code` is one of the following and no other.\n\
         `retry` says what a client may do: `same_key` = repeat the same request with the same Idempotency-Key,\n\
         `new_key` = a changed request with a new key may succeed, `never` = repeating does not help.\n\n\
         | code | status | retry |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(page, "| [`{0}`](#{0}) | {1} | `{2}` |", code.code(), code.status(), code.retry().code());
    }
    for code in Code::ALL {
        let _ = write!(
            page,
            "\n## {}\n\n{} ({}). {}\n\n- en: {}\n- ko: {}\n",
            code.code(),
            code.title(),
            code.status(),
            code.doc(),
            code.text_en(),
            code.text_ko()
        );
    }
    page
}
