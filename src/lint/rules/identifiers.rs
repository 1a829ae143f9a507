//! L2xx: classes and identifiers.

use super::Needs::Files;
use super::{Rule, rule};
use crate::mapping::Severity::{Deny, Warn};

pub const RULES: &[Rule] = &[
    rule(
        "L201",
        Deny,
        Files,
        [
            "분류나 정책이 허용하지 않는 가공입니다.",
            "고유식별정보, 식별정보, 민감정보, 자유 서술은 제외만 허용됩니다.",
            "허용된 가공을 쓰거나 [[withheld]]로 옮기십시오.",
        ],
        [
            "A transform that the column's class or the policy does not allow.",
            "Unique ids, identifiers, sensitive data and free text may only be dropped.",
            "Use an allowed transform or withhold the column.",
        ],
        "개인정보 보호법 제23조, 제24조, 제24조의2",
    ),
    rule(
        "L202",
        Deny,
        Files,
        [
            "공개할 수 없는 항목이 피드의 식별 키입니다.",
            "키는 모든 제휴사에 같은 값으로 나가 서로 연결됩니다.",
            "public 또는 operational 분류의 키 항목을 쓰십시오.",
        ],
        [
            "Items are named by a column that may not name things in public.",
            "A key is the same for all partners and links what they hold.",
            "Use the key column of class public or operational.",
        ],
        "개인정보 보호법 제24조, 제24조의2",
    ),
    rule(
        "L203",
        Deny,
        Files,
        [
            "이름이나 명칭은 식별자인데 분류가 맞지 않습니다.",
            "분류가 낮으면 식별자가 원값으로 나갑니다.",
            "catalog.toml의 분류를 식별자에 맞게 고치십시오.",
        ],
        [
            "Name or label is an identifier's and the class does not fit.",
            "With too low a class the identifier would leave as it is.",
            "Correct the class in catalog.toml.",
        ],
        "개인정보 보호법 제2조제1호, 제24조, 제24조의2",
    ),
    rule(
        "L204",
        Deny,
        Files,
        [
            "주민등록번호, 전화번호, 전자우편, CI, 카드번호 모양의 값이 파일에 있습니다.",
            "검토용 파일은 복사되고 보관되므로 실제 값이 있으면 그대로 유출됩니다.",
            "값을 지우고, 실제 값이었다면 유출 대응 절차를 따르십시오.",
        ],
        [
            "A file holds a value shaped like a resident number, telephone, e-mail address, CI or card.",
            "These files are copied and kept: a real value in them has leaked.",
            "Remove it; if it was real, follow the procedure for leaks.",
        ],
        "개인정보 보호법 제24조의2, 제34조",
    ),
    rule(
        "L205",
        Warn,
        Files,
        [
            "필드가 필요한 이유가 없거나 형식적입니다.",
            "최소 수집·제공은 항목마다 이유가 있어야 판단할 수 있습니다.",
            "이용자에게 무엇을 하기 위해 필요한지 적으십시오.",
        ],
        [
            "The reason why a field is needed is missing or boilerplate.",
            "Whether it is the least that is needed can only be judged by a reason.",
            "Say what it does for the user.",
        ],
        "개인정보 보호법 제3조제1항, 제16조제1항",
    ),
    rule(
        "L206",
        Warn,
        Files,
        [
            "목적에 필요하지 않은 항목이거나 같은 항목을 두 번 내보냅니다.",
            "필요한 최소한만 제공해야 합니다.",
            "필드를 지우고 [[withheld]]로 옮기십시오.",
        ],
        [
            "A field that the purpose does not need, or the same column twice.",
            "Only the least that is needed may leave.",
            "Remove the field and withhold the column.",
        ],
        "개인정보 보호법 제3조제1항, 제16조제1항",
    ),
    rule(
        "L207",
        Deny,
        Files,
        [
            "개체의 키 항목이 고유식별정보나 식별정보입니다.",
            "키는 내부 곳곳에 저장되므로 주민등록번호 등을 키로 쓸 수 없습니다.",
            "뷰에 내부 번호를 두고 그것을 키로 하십시오.",
        ],
        [
            "The key column of an object is a unique or direct identifier.",
            "A key is stored in many places of the bridge.",
            "Give the view an internal number and make it the key.",
        ],
        "개인정보 보호법 제24조의2제1항",
    ),
    rule(
        "L208",
        Warn,
        Files,
        [
            "사람 이름일 수 있는 항목을 원값으로 내보냅니다.",
            "명칭(NM, NAME) 항목에는 담당자 이름이 섞이는 일이 많습니다.",
            "기관·지역 이름임을 확인하고 면제하거나, 분류를 direct로 고치십시오.",
        ],
        [
            "A column that may hold names of people leaves as it is.",
            "Columns called NM or NAME often hold the name of a contact.",
            "Make sure that it names a thing and waive, or class it direct.",
        ],
        "개인정보 보호법 제2조제1호",
    ),
    rule(
        "L209",
        Deny,
        Files,
        [
            "기관 공개정보로 분류했으나 휴대전화나 개인 연락처로 보입니다.",
            "공개된 기관 전화만 org_public입니다.",
            "direct로 분류하고 내보내지 마십시오.",
        ],
        [
            "Classed org_public, yet by name a mobile or personal number.",
            "Only a site's published telephone is org_public.",
            "Class it direct and withhold it.",
        ],
        "개인정보 보호법 제2조제1호",
    ),
    rule(
        "L210",
        Deny,
        Files,
        [
            "자유 서술로 보이는 항목의 분류가 free_text가 아닙니다.",
            "메모에는 무엇이든 적혀 있을 수 있습니다.",
            "free_text로 분류하십시오.",
        ],
        ["By name a free text, and not classed free_text.", "Anything may stand in a memo.", "Class it free_text."],
        "개인정보 보호법 제3조제1항, 제23조",
    ),
    rule(
        "L211",
        Deny,
        Files,
        [
            "건강·장애·소득 등 민감한 항목으로 보이는데 분류가 맞지 않습니다.",
            "민감정보는 법이 정한 경우 외에 처리할 수 없습니다.",
            "sensitive 또는 sensitive_inferable로 분류하십시오.",
        ],
        [
            "By name about health, disability, income and the like, and not classed as sensitive.",
            "Sensitive data may be processed only where a law says so.",
            "Class it sensitive or sensitive_inferable.",
        ],
        "개인정보 보호법 제23조, 시행령 제18조",
    ),
    rule(
        "L212",
        Warn,
        Files,
        ["구간이 값 하나씩이라 원값과 같습니다.", "이름만 구간화이고 실제로는 원값이 나갑니다.", "구간을 넓히십시오."],
        [
            "Buckets of one value each: the same as keeping the value.",
            "It is called a bucket and tells everything.",
            "Make the buckets wider.",
        ],
        "개인정보 보호위원회 가명정보 처리 가이드라인 (범주화)",
    ),
    rule(
        "L213",
        Warn,
        Files,
        [
            "변환표가 일대일이라 원값과 같습니다.",
            "일대일 변환은 값을 가리지 않습니다.",
            "여러 값을 하나로 묶는 표를 쓰십시오.",
        ],
        [
            "The table gives every value another one: the same as keeping it.",
            "A one-to-one table hides nothing.",
            "Use a table that joins values.",
        ],
        "개인정보 보호위원회 가명정보 처리 가이드라인 (범주화)",
    ),
];
