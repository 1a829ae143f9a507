//! Texts that say nothing, and names that say much.

use crate::mapping::{Class, Column};

/// Letters that a reason has at least; the shortest that says something are `Which dose` and `지도 표시`.
const LATIN_LETTERS_MIN: usize = 8;
const KOREAN_LETTERS_MIN: usize = 4;

const NOTHING_SAID: &[&str] = &[
    "필요",
    "필요함",
    "필요해서",
    "업무상 필요",
    "업무에 필요",
    "업무 처리",
    "서비스 제공",
    "서비스 제공을 위해",
    "서비스에 필요",
    "정보 제공",
    "기타",
    "해당 없음",
    "없음",
    "추후 작성",
    "작성 예정",
    "테스트",
    "needed",
    "required",
    "necessary",
    "not needed",
    "for the service",
    "needed for the service",
    "business need",
    "business reasons",
    "because it is needed",
    "see above",
    "to be done",
    "to be written",
    "placeholder",
    "provide the service",
    "service provision",
];

/// Blank, too short to say anything, or one of the words that fit everything.
pub fn is_boilerplate(text: &str) -> bool {
    let bare = text.trim().trim_end_matches(['.', '!', '。']).to_lowercase();
    let is_korean = |c: char| ('가'..='힣').contains(&c);
    let letters = bare.chars().filter(|c| c.is_alphanumeric()).count();
    let least = if bare.chars().any(is_korean) { KOREAN_LETTERS_MIN } else { LATIN_LETTERS_MIN };
    letters < least || NOTHING_SAID.contains(&bare.as_str())
}

/// Names of one kind of thing, and classes that fit it.
pub struct Term {
    pub what_ko: &'static str,
    pub what_en: &'static str,
    /// Whole words of a column's name, between `_`.
    latin: &'static [&'static str],
    /// Parts of the Korean label.
    korean: &'static [&'static str],
    fits: &'static [Class],
}

use Class::{Direct, FreeText, LinkageId, OrgPublic, Quasi, Sensitive, SensitiveInferable, UniqueId};

/// 주민, JUMIN, RRN, 성명, NAME, TEL, HP, 전화, ADDR, 주소, EMAIL, CI, DI, 생년, BIRTH and their kin.
pub const IDENTIFIERS: &[Term] = &[
    Term {
        what_ko: "고유식별정보",
        what_en: "a unique id",
        latin: &["JUMIN", "RRN", "SSN", "JMNO", "RESNO", "PASSPORT"],
        korean: &["주민등록", "주민번호", "주민", "외국인등록번호", "여권번호", "운전면허"],
        fits: &[UniqueId],
    },
    Term {
        what_ko: "연계정보",
        what_en: "linkage information",
        latin: &["CI", "DI"],
        korean: &["연계정보", "중복가입확인"],
        fits: &[LinkageId],
    },
    Term {
        what_ko: "성명",
        what_en: "a person's name",
        latin: &["NAME"],
        korean: &["성명", "성함"],
        fits: &[Direct, UniqueId],
    },
    Term {
        what_ko: "전화번호",
        what_en: "a telephone number",
        latin: &["TEL", "TELNO", "HP", "HPNO", "MOBILE", "PHONE", "CELL"],
        korean: &["전화", "휴대폰", "연락처"],
        fits: &[Direct, UniqueId, OrgPublic],
    },
    Term {
        what_ko: "전자우편 주소",
        what_en: "an e-mail address",
        latin: &["EMAIL", "MAIL"],
        korean: &["전자우편", "이메일"],
        fits: &[Direct, UniqueId, OrgPublic],
    },
    Term {
        what_ko: "주소",
        what_en: "an address",
        latin: &["ADDR", "ADDRESS"],
        korean: &["주소"],
        fits: &[Direct, UniqueId, OrgPublic, Quasi],
    },
    Term {
        what_ko: "생년월일",
        what_en: "a date of birth",
        latin: &["BIRTH", "BIRTHDAY", "BRTH", "DOB"],
        korean: &["생년", "생일", "출생일"],
        fits: &[Direct, UniqueId, Quasi],
    },
];

pub const FREE_TEXTS: &[Term] = &[Term {
    what_ko: "자유 서술",
    what_en: "a free text",
    latin: &["MEMO", "REMARK", "REMARKS", "RMK", "NOTE", "NOTES", "COMMENT", "COMMENTS", "CMNT"],
    korean: &["메모", "비고", "특이사항", "자유 서술", "상담 내용"],
    fits: &[FreeText, Direct, UniqueId, Sensitive],
}];

pub const SENSITIVE: &[Term] = &[Term {
    what_ko: "민감정보",
    what_en: "sensitive data",
    latin: &["DIAG", "DISEASE", "DISAB", "PREG", "HIV", "INCOME", "RELIGION", "ALLERGY", "SICK"],
    korean: &["질병", "병명", "진단", "장애", "임신", "소득", "종교", "기저질환", "수급", "건강상태"],
    fits: &[Sensitive, SensitiveInferable, Direct, UniqueId, FreeText],
}];

pub const MOBILES: &[Term] = &[Term {
    what_ko: "휴대전화·개인 연락처",
    what_en: "a mobile or personal number",
    latin: &["HP", "HPNO", "MOBILE", "CELL", "MANAGER", "STAFF", "OWNER"],
    korean: &["휴대", "개인", "담당자", "대표자"],
    fits: &[Direct, UniqueId],
}];

/// The first term that the column's name or label is one of.
pub fn term<'t>(terms: &'t [Term], column: &Column) -> Option<&'t Term> {
    let latin = column.name.to_uppercase();
    let words: Vec<&str> = latin.split('_').collect();
    terms.iter().find(|term| {
        term.latin.iter().any(|word| words.contains(word))
            || term.korean.iter().any(|part| column.label.ko.contains(part))
    })
}

impl Term {
    pub fn fits(&self, class: Class) -> bool {
        self.fits.contains(&class)
    }
}

/// `MANAGER_NM`: may hold a person's name; `SITE_NM` names a thing.
pub fn may_name_a_person(column: &str) -> bool {
    const THINGS: [&str; 16] = [
        "SITE", "ORG", "HOSP", "INST", "CENTER", "COHORT", "VACCINE", "SERIES", "SIDO", "SIGUNGU", "REGION", "FILE",
        "DEPT", "PLACE", "ROOM", "ITEM",
    ];
    match column.split('_').collect::<Vec<_>>().as_slice() {
        [.., before, "NM"] => !THINGS.contains(before),
        words => words.contains(&"NM"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something() {
        for text in ["", " ", "필요함.", "-", "N/A", "Needed", "업무상 필요", "표시", "Data"] {
            assert!(is_boilerplate(text), "{text}");
        }
        for text in ["지도 표시", "Which dose", "남은 수량 구간", "Shown on a map"] {
            assert!(!is_boilerplate(text), "{text}");
        }
    }

    #[test]
    fn names_of_things_are_no_names_of_people() {
        for (name, person) in
            [("SITE_NM", false), ("COHORT_NM", false), ("MANAGER_NM", true), ("NM", true), ("STATUS", false)]
        {
            assert_eq!(may_name_a_person(name), person, "{name}");
        }
    }
}
