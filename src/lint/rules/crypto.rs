//! L3xx: cryptography, tokens, lookups.

use super::Needs::Files;
use super::{Rule, rule};
use crate::mapping::Severity::{Deny, Warn};

const KEYS: &str = "개인정보의 안전성 확보조치 기준 제7조";
const LINKAGE: &str = "정보통신망법 제23조의5, 제23조의6";

pub const RULES: &[Rule] = &[
    rule(
        "L301",
        Deny,
        Files,
        [
            "키 없는 해시나 암호문으로 보이는 항목을 내보냅니다.",
            "주민등록번호나 전화번호의 해시는 모두 계산해 되돌릴 수 있습니다.",
            "내보내지 말고, 필요하면 person_token을 쓰십시오.",
        ],
        [
            "A column that by name is a hash or ciphertext leaves the agency.",
            "Hashes of resident numbers and telephones can be undone by trying all.",
            "Withhold it; use person_token where a number is needed.",
        ],
        KEYS,
    ),
    rule(
        "L302",
        Deny,
        Files,
        [
            "키, 솔트 또는 비밀번호가 파일에 적혀 있습니다.",
            "승인 폴더는 여러 사람이 읽으므로 더 이상 비밀이 아닙니다.",
            "지우고 즉시 새 키로 바꾸십시오.",
        ],
        [
            "A key, salt or password stands in a file.",
            "Many people read this folder: it is a secret no more.",
            "Remove it and replace the key at once.",
        ],
        KEYS,
    ),
    rule(
        "L303",
        Deny,
        Files,
        [
            "임의 번호가 너무 짧습니다(내부 식별번호는 112비트 미만).",
            "짧은 번호는 맞혀 볼 수 있습니다.",
            "bits를 112 이상(128 권장)으로 하십시오.",
        ],
        [
            "Random numbers too short: under 112 bits for an internal id.",
            "Short numbers can be guessed.",
            "Use bits = 128.",
        ],
        "RFC 4086; NIST SP 800-131A Rev. 2",
    ),
    rule(
        "L304",
        Deny,
        Files,
        [
            "두 제휴사가 같은 번호 범위(scope = all)를 씁니다.",
            "같은 번호로 제휴사들이 서로의 자료를 연결할 수 있습니다.",
            "scope = \"partner\"로 하십시오.",
        ],
        [
            "Two partners share one scope of numbers for a personal column.",
            "They could join what they hold about a person.",
            "Use scope = \"partner\".",
        ],
        "개인정보 보호법 제3조; RFC 6973 제6.1.2절",
    ),
    rule(
        "L305",
        Deny,
        Files,
        [
            "연계정보(CI·DI)를 제외, oprf_index, 내부 대조 외의 용도로 씁니다.",
            "CI는 모든 서비스에서 같은 사람을 가리킵니다.",
            "drop하거나 [[withheld]]로 옮기십시오.",
        ],
        [
            "CI or DI used by anything but drop, oprf_index or the lookup in memory.",
            "A CI names the same person at every service.",
            "Drop it or withhold it.",
        ],
        LINKAGE,
    ),
    rule(
        "L306",
        Deny,
        Files,
        [
            "토큰 주기가 정책의 한도보다 깁니다.",
            "주기가 길수록 한 사람의 기록이 오래 연결됩니다.",
            "epoch를 정책의 epoch_days_max 이하로 하십시오.",
        ],
        [
            "An epoch longer than the policy allows.",
            "The longer it is, the longer one person's records are linked.",
            "Shorten epoch to epoch_days_max.",
        ],
        "RFC 6973 제6.1.1절; 개인정보 보호법 제29조",
    ),
    rule(
        "L307",
        Deny,
        Files,
        [
            "사람을 조회할 수 있는데 절대 한도가 없습니다.",
            "한도가 없으면 조회로 전체 명부를 확인할 수 있습니다.",
            "[lookup]에 하루와 주기의 사람 수 한도를 적으십시오.",
        ],
        [
            "Persons can be looked up without an absolute limit.",
            "Without one the whole register can be tried.",
            "Add [lookup] with limits a day and an epoch below the population.",
        ],
        "개인정보 보호법 제29조; 개인정보의 안전성 확보조치 기준 제5조",
    ),
    rule(
        "L308",
        Deny,
        Files,
        [
            "매핑의 조회 한도가 제휴사의 한도보다 큽니다.",
            "매핑은 제휴사에 준 것보다 적게만 줄 수 있습니다.",
            "제휴사의 한도 이하로 낮추십시오.",
        ],
        [
            "The mapping's lookup limit is above the partner's.",
            "A mapping may give less than the partner has, never more.",
            "Lower it to the partner's limit.",
        ],
        "개인정보 보호법 제29조",
    ),
    rule(
        "L309",
        Deny,
        Files,
        [
            "대상자 피드의 person_token에 주기(epoch)가 없습니다.",
            "주기가 없으면 번호가 영구히 남습니다.",
            "[feed] epoch를 적으십시오.",
        ],
        [
            "person_token in an eligibility feed without an epoch.",
            "Without one the number is for ever.",
            "Add epoch to [feed].",
        ],
        "RFC 6973 제6.1.1절",
    ),
    rule(
        "L310",
        Warn,
        Files,
        [
            "내부 식별번호를 영구한 임의 번호로 바꿉니다.",
            "같은 번호가 영구히 쓰여 기록이 계속 연결됩니다.",
            "주기마다 바뀌는 person_token을 쓰십시오.",
        ],
        [
            "An internal id becomes a random number that never changes.",
            "It links a person's records for ever.",
            "Use person_token, which changes with the epoch.",
        ],
        "RFC 6973 제6.1.1절; 개인정보 보호법 제3조제7항",
    ),
];
