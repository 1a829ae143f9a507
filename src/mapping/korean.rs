//! Korean particles after any word: their form follows the final sound of what stands before.
//!
//! Source: 한글 맞춤법 제51항 이하 and the usual reading of digits and Latin letters (3 is 삼, L is 엘). What stands in
//! closing brackets is not read, as the National Institute of Korean Language advises, unless nothing else is there.

/// A particle in its two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Particle {
    /// 은/는
    Topic,
    /// 이/가
    Subject,
    /// 을/를
    Object,
    /// 과/와
    And,
    /// 으로/로; after ㄹ it is 로
    To,
    /// 이나/나
    Or,
    /// 이라/라
    Called,
}

impl Particle {
    /// After a consonant, after a vowel, and both for what cannot be read aloud.
    fn forms(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Particle::Topic => ("은", "는", "은(는)"),
            Particle::Subject => ("이", "가", "이(가)"),
            Particle::Object => ("을", "를", "을(를)"),
            Particle::And => ("과", "와", "과(와)"),
            Particle::To => ("으로", "로", "(으)로"),
            Particle::Or => ("이나", "나", "(이)나"),
            Particle::Called => ("이라", "라", "(이)라"),
        }
    }

    /// The form that follows `word`.
    pub fn after(self, word: &str) -> &'static str {
        let (closed, open, both) = self.forms();
        match (final_sound(word), self) {
            (Some(Sound::Vowel), _) | (Some(Sound::Rieul), Particle::To) => open,
            (Some(Sound::Consonant | Sound::Rieul), _) => closed,
            (None, _) => both,
        }
    }
}

/// The word with its particle.
pub fn with(word: &str, particle: Particle) -> String {
    format!("{word}{}", particle.after(word))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    Vowel,
    Rieul,
    Consonant,
}

/// First syllable of the Hangul block; 28 finals follow each other, the ninth is ㄹ.
const FIRST_SYLLABLE: u32 = 0xAC00;
const FINALS: u32 = 28;
const RIEUL: u32 = 8;

fn final_sound(word: &str) -> Option<Sound> {
    let spoken = without_brackets(word);
    let last = spoken.chars().rev().find(|c| is_spoken(*c))?;
    Some(match last {
        '가'..='힣' => match (u32::from(last) - FIRST_SYLLABLE) % FINALS {
            0 => Sound::Vowel,
            RIEUL => Sound::Rieul,
            _ => Sound::Consonant,
        },
        // 영 일 이 삼 사 오 육 칠 팔 구; 십, 백, 천, 만 and 억 end in consonants as 영 does.
        '2' | '4' | '5' | '9' => Sound::Vowel,
        '1' | '7' | '8' => Sound::Rieul,
        '0' | '3' | '6' => Sound::Consonant,
        // 퍼센트, 도, 플러스
        '%' | '℃' | '+' => Sound::Vowel,
        'ㄱ'..='ㅎ' => {
            if last == 'ㄹ' {
                Sound::Rieul
            } else {
                Sound::Consonant
            }
        }
        'ㅏ'..='ㅣ' => Sound::Vowel,
        _ => latin(spoken, last)?,
    })
}

fn is_spoken(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '%' | '℃' | '+')
}

/// The word without a bracketed remark at its end.
fn without_brackets(word: &str) -> &str {
    let trimmed = word.trim_end_matches(['’', '”', '」', '』', '\'', '"', ' ']);
    for (open, close) in [('(', ')'), ('[', ']'), ('（', '）'), ('〈', '〉')] {
        if let Some(inner) = trimmed.strip_suffix(close)
            && let Some(at) = inner.rfind(open)
            && inner[..at].chars().any(is_spoken)
        {
            return without_brackets(&inner[..at]);
        }
    }
    trimmed
}

/// Letters of an abbreviation are read by name: 엘, 엠, 엔, 알 are those that do not end in a vowel. A word is read as it
/// is borrowed: 북, 맵, 챗 after one vowel, 테스트 after a consonant.
fn latin(spoken: &str, last: char) -> Option<Sound> {
    if !last.is_ascii_alphabetic() {
        return None;
    }
    let letters: Vec<char> = {
        let mut tail: Vec<char> = spoken.chars().rev().skip_while(|c| !c.is_ascii_alphabetic()).collect();
        tail.truncate(tail.iter().position(|c| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        tail
    };
    if letters.len() == 1 || letters.iter().all(char::is_ascii_uppercase) {
        return Some(match last.to_ascii_lowercase() {
            'l' | 'r' => Sound::Rieul,
            'm' | 'n' => Sound::Consonant,
            _ => Sound::Vowel,
        });
    }
    let vowel_before = letters.get(1).is_some_and(|c| matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u'));
    Some(match last.to_ascii_lowercase() {
        'l' => Sound::Rieul,
        'm' | 'n' => Sound::Consonant,
        'g' if letters.get(1).is_some_and(|c| c.eq_ignore_ascii_case(&'n')) => Sound::Consonant,
        'b' | 'c' | 'k' | 'p' | 't' if vowel_before => Sound::Consonant,
        _ => Sound::Vowel,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_particle_follows_the_final_sound() {
        let cases = [
            ("기관명", "은", "이", "을", "과", "으로", "이나"),
            ("회차", "는", "가", "를", "와", "로", "나"),
            ("요일", "은", "이", "을", "과", "로", "이나"),
            ("값", "은", "이", "을", "과", "으로", "이나"),
            ("0", "은", "이", "을", "과", "으로", "이나"),
            ("1", "은", "이", "을", "과", "로", "이나"),
            ("2", "는", "가", "를", "와", "로", "나"),
            ("13", "은", "이", "을", "과", "으로", "이나"),
            ("7", "은", "이", "을", "과", "로", "이나"),
            ("10", "은", "이", "을", "과", "으로", "이나"),
            ("CI", "는", "가", "를", "와", "로", "나"),
            ("URL", "은", "이", "을", "과", "로", "이나"),
            ("SMS", "는", "가", "를", "와", "로", "나"),
            ("GPS 번호", "는", "가", "를", "와", "로", "나"),
            ("Facebook", "은", "이", "을", "과", "으로", "이나"),
            ("Kakao", "는", "가", "를", "와", "로", "나"),
            ("test", "는", "가", "를", "와", "로", "나"),
            ("email", "은", "이", "을", "과", "로", "이나"),
            ("‘10 이상’", "은", "이", "을", "과", "으로", "이나"),
            ("연계정보(CI)", "는", "가", "를", "와", "로", "나"),
            ("백신명 (2차)", "은", "이", "을", "과", "으로", "이나"),
            ("(가)", "는", "가", "를", "와", "로", "나"),
            ("50%", "는", "가", "를", "와", "로", "나"),
            ("???", "은(는)", "이(가)", "을(를)", "과(와)", "(으)로", "(이)나"),
            ("", "은(는)", "이(가)", "을(를)", "과(와)", "(으)로", "(이)나"),
        ];
        for (word, topic, subject, object, and, to, or) in cases {
            let all = [Particle::Topic, Particle::Subject, Particle::Object, Particle::And, Particle::To, Particle::Or];
            let found = all.map(|particle| particle.after(word));
            assert_eq!(found, [topic, subject, object, and, to, or], "after {word:?}");
        }
        assert_eq!(with("서울", Particle::To), "서울로");
        assert_eq!(with("네이버", Particle::Called), "네이버라");
    }

    #[test]
    fn every_final_of_hangul_is_told() {
        for (finals, particle) in
            [(0, "로"), (1, "으로"), (4, "으로"), (8, "로"), (16, "으로"), (21, "으로"), (27, "으로")]
        {
            let syllable = char::from_u32(FIRST_SYLLABLE + finals).unwrap().to_string();
            assert_eq!(Particle::To.after(&syllable), particle, "{syllable}");
        }
    }
}
