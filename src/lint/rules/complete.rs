//! L1xx: completeness and drift.

use super::Needs::{Files, Today};
use super::{Rule, rule};
use crate::mapping::Severity::{Deny, Warn};

const SAFEGUARDS: &str = "개인정보의 안전성 확보조치 기준 제4조; 개인정보 보호법 제29조";
const LEAST: &str = "개인정보 보호법 제3조제1항, 제16조";

pub const RULES: &[Rule] = &[
    rule(
        "L100",
        Deny,
        Files,
        [
            "파일을 읽을 수 없거나 숨은 문자가 있습니다.",
            "보이는 내용과 집행되는 내용이 달라질 수 있습니다.",
            "UTF-8, 정규형 C(NFC), 256 KiB 이하로 저장하고 숨은 문자를 지우십시오.",
        ],
        [
            "The file is too large, not UTF-8, not NFC, or holds hidden characters.",
            "What is read and what is enforced could differ.",
            "Save it as UTF-8 in normal form C, at most 256 KiB, without hidden characters.",
        ],
        "RFC 3629; Unicode UAX #15, UTS #39",
    ),
    rule(
        "L101",
        Deny,
        Files,
        [
            "없는 키, 빠진 키 또는 형식이 다른 값입니다.",
            "오타로 규칙이 무시되면 아무도 모르게 더 많이 나갑니다.",
            "mappings/README.md의 키와 형식에 맞추십시오.",
        ],
        [
            "An unknown key, a missing key or a value of the wrong shape.",
            "A misspelt rule that is ignored publishes more than was decided.",
            "Use the keys and shapes of mappings/README.md.",
        ],
        "TOML 1.0; 개인정보 보호법 제29조",
    ),
    rule(
        "L102",
        Deny,
        Files,
        [
            "같은 이름이 두 번 나옵니다.",
            "둘 중 무엇이 집행되는지 읽는 사람이 알 수 없습니다.",
            "하나를 지우거나 이름을 바꾸십시오.",
        ],
        ["The same name stands twice.", "A reader cannot tell which of the two is enforced.", "Remove or rename one."],
        SAFEGUARDS,
    ),
    rule(
        "L103",
        Deny,
        Files,
        [
            "원천 항목에 대한 결정이 빠져 있습니다.",
            "정하지 않은 항목은 내보내지도 조회하지도 않아야 합니다.",
            "[[field]] 또는 사유를 적은 [[withheld]]로 정하십시오.",
        ],
        [
            "A source column is not decided about.",
            "What nobody decided about must neither leave nor be fetched.",
            "Publish it in a [[field]] or list it under [[withheld]] with a reason.",
        ],
        LEAST,
    ),
    rule(
        "L104",
        Deny,
        Files,
        [
            "변환표나 범주표 또는 그 열이 없습니다.",
            "표가 없으면 값이 무엇으로 바뀌는지 정해지지 않습니다.",
            "파일을 추가하거나 이름을 고치십시오.",
        ],
        [
            "A table, a hierarchy or one of its columns does not exist.",
            "Without it nobody has decided what the values become.",
            "Add the file or correct the name.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L105",
        Deny,
        Files,
        [
            "자리에 맞지 않는 파일이거나 파일 이름과 내용이 다릅니다.",
            "다른 제휴사나 다른 피드의 규칙으로 집행될 수 있습니다.",
            "<제휴사>/<피드>.toml, tables/*.csv, hierarchies/*.csv, consents/*.ko.md 자리에 두십시오.",
        ],
        [
            "A file has no place in the folder, or its name contradicts its content.",
            "It could be enforced for another partner or feed.",
            "Put it where mappings/README.md says and make name and content agree.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L106",
        Deny,
        Files,
        [
            "선언되지 않은 개체, 항목, 제휴사 또는 목적입니다.",
            "선언하지 않은 것은 검토되지 않은 것입니다.",
            "catalog.toml, partners.toml, policy.toml에 먼저 선언하십시오.",
        ],
        [
            "An object, column, partner or purpose that is not declared.",
            "What is not declared was not examined.",
            "Declare it in catalog.toml, partners.toml or policy.toml first.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L107",
        Deny,
        Files,
        [
            "데이터 목록의 선언이 서로 맞지 않습니다.",
            "분류가 틀리면 그 위의 모든 규칙이 틀립니다.",
            "catalog.toml의 이름, 유형, 분류, 용도를 고치십시오.",
        ],
        [
            "A catalogue entry contradicts itself.",
            "Every other rule rests on the catalogue's classes.",
            "Correct name, type, class or role in catalog.toml.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L108",
        Deny,
        Files,
        [
            "정책의 한도를 넘는 값입니다.",
            "한도는 개인정보 보호책임자가 정한 최대입니다.",
            "한도 안으로 낮추거나, 정책을 정족수로 다시 승인받으십시오.",
        ],
        [
            "A number outside the policy's limits.",
            "The limits are the most that the privacy office allows.",
            "Stay within the limit, or have the policy approved anew.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L109",
        Deny,
        Files,
        [
            "아직 만들어지지 않은 방식입니다.",
            "집행할 수 없는 약속을 승인해서는 안 됩니다.",
            "제공되는 방식(mode = \"rules\")을 쓰십시오.",
        ],
        [
            "A mode or transform that is not built.",
            "A promise that cannot be enforced must not be approved.",
            "Use one that is built, such as mode = \"rules\".",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L110",
        Deny,
        Files,
        [
            "원천이 연계용 뷰가 아닙니다(원본 테이블, 사전, *, DB 링크, 함수).",
            "뷰만이 조회 범위를 기관이 정한 항목으로 묶습니다.",
            "인터페이스 스키마의 뷰 하나를 적으십시오.",
        ],
        [
            "The source is no interface view but a base table, the dictionary, `*`, a database link or a function.",
            "Only a view bounds what can be fetched to what the agency chose.",
            "Name one view of the interface schema.",
        ],
        "개인정보의 안전성 확보조치 기준 제5조, 제6조",
    ),
    rule(
        "L111",
        Deny,
        Files,
        [
            "다른 글자처럼 보이는 글자(키릴·그리스·전각 등)가 이름에 있습니다.",
            "같아 보이는 다른 이름으로 항목이 빠지거나 바뀔 수 있습니다.",
            "보통의 로마자나 한글로 다시 쓰십시오.",
        ],
        [
            "A word holds letters that look like others (Cyrillic, Greek, full-width and the like).",
            "A name that only looks the same can stand for another column.",
            "Type it again in plain Latin or Korean letters.",
        ],
        "Unicode UTS #39 (Confusable Detection)",
    ),
    rule(
        "L112",
        Warn,
        Files,
        [
            "쓰이지 않는 표나 동의서입니다.",
            "검토 대상인지 알 수 없는 자료가 승인 폴더에 남습니다.",
            "지우거나, 쓰는 매핑을 추가하십시오.",
        ],
        [
            "A table or consent text that no mapping uses.",
            "Nobody can tell whether it was examined.",
            "Remove it, or use it.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L113",
        Deny,
        Files,
        [
            "제목, 명칭 또는 목적의 한국어나 영어가 비어 있습니다.",
            "담당자가 무엇을 승인하는지 읽을 수 없습니다.",
            "두 언어를 모두 적으십시오.",
        ],
        [
            "A title, label or purpose is blank in Korean or English.",
            "An officer cannot read what is being approved.",
            "Fill in both languages.",
        ],
        "개인정보 보호법 제3조제5항",
    ),
    rule(
        "L114",
        Warn,
        Files,
        [
            "조건들이 서로 겹치지 않아 아무것도 선택하지 않습니다.",
            "빈 피드는 오류와 구별되지 않습니다.",
            "같은 항목의 조건을 하나로 합치십시오.",
        ],
        [
            "Filters on one column have no value in common: the feed is empty.",
            "An empty feed cannot be told from a broken one.",
            "Merge the filters of the column.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L115",
        Warn,
        Files,
        [
            "미제공 사유가 없거나 형식적입니다.",
            "나중에 같은 항목을 다시 검토할 근거가 남지 않습니다.",
            "왜 내보내지 않는지 한 문장으로 적으십시오.",
        ],
        [
            "The reason for withholding is missing or boilerplate.",
            "Whoever examines the column next has nothing to go by.",
            "Say in one sentence why the columns do not leave.",
        ],
        LEAST,
    ),
    rule(
        "L116",
        Warn,
        Files,
        [
            "회차 피드는 있으나 기관 피드가 없습니다.",
            "제휴사가 다른 곳에서 기관 정보를 얻어 붙이게 됩니다.",
            "같은 제휴사의 sites 피드를 함께 두십시오.",
        ],
        [
            "Slots are published and their sites are not.",
            "The partner would join sites from elsewhere.",
            "Publish the sites feed of the same partner.",
        ],
        "개인정보 보호법 제3조제3항",
    ),
    rule(
        "L117",
        Deny,
        Files,
        [
            "한 사람이 검토하기에 너무 큽니다(항목 200개, 필드 100개 초과).",
            "읽히지 않는 승인은 승인이 아닙니다.",
            "뷰를 나누거나 항목을 줄이십시오.",
        ],
        [
            "Too large for a person to examine: more than 200 columns or 100 fields.",
            "An approval that nobody can read is none.",
            "Split the view or reduce it.",
        ],
        LEAST,
    ),
    rule(
        "L118",
        Deny,
        Files,
        [
            "정책이 규칙의 심각도를 하한보다 낮추려 합니다.",
            "하한은 제품이 보장하는 최소입니다.",
            "[severity]에서 그 줄을 지우거나 올리십시오.",
        ],
        [
            "The policy tries to lower a severity below its floor.",
            "The floor is what the product guarantees.",
            "Remove the line from [severity], or raise it.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L119",
        Deny,
        Files,
        [
            "정책이 없는 규칙을 적었습니다.",
            "올렸다고 믿은 규칙이 그대로일 수 있습니다.",
            "`slotbridge mappings rules`에서 번호를 확인하십시오.",
        ],
        [
            "The policy names a rule that does not exist.",
            "A rule believed to be raised would stay as it is.",
            "Look the id up in `slotbridge mappings rules`.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L120",
        Deny,
        Files,
        [
            "deny 규칙은 면제할 수 없습니다.",
            "deny는 게시해서는 안 되는 상태를 뜻합니다.",
            "면제를 지우고 원인을 고치십시오.",
        ],
        [
            "A waiver names a rule that denies.",
            "A deny says that the mapping must not be published.",
            "Remove the waiver and mend what the rule finds.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L121",
        Warn,
        Today,
        [
            "기한이 지난 면제입니다.",
            "면제는 정해진 날까지만 승인된 것입니다.",
            "원인을 고치거나 새 기한으로 다시 승인받으십시오.",
        ],
        [
            "A waiver has expired.",
            "It was approved until a day that has passed.",
            "Mend what it is about, or have a new one approved.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L122",
        Warn,
        Files,
        [
            "면제가 없는 규칙이나 없는 필드를 가리킵니다.",
            "면제했다고 믿은 경고가 그대로 남습니다.",
            "규칙 번호와 필드 이름을 고치십시오.",
        ],
        [
            "A waiver names a rule or a field that does not exist.",
            "The warning that it was written for stays.",
            "Correct the id of the rule or the name of the field.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L123",
        Warn,
        Files,
        ["해당하는 경고가 없는 면제입니다.", "남은 면제는 나중의 경고를 가립니다.", "면제를 지우십시오."],
        ["A waiver that no warning needs.", "Left behind, it would hide a later warning.", "Remove it."],
        SAFEGUARDS,
    ),
    rule(
        "L124",
        Warn,
        Files,
        [
            "면제 사유가 없거나 형식적입니다.",
            "사유 없는 면제는 검토할 수 없습니다.",
            "왜 받아들일 수 있는지 한국어와 영어로 적으십시오.",
        ],
        [
            "The reason of a waiver is missing or boilerplate.",
            "Without a reason it cannot be judged.",
            "Say in Korean and English why it can be accepted.",
        ],
        SAFEGUARDS,
    ),
    rule(
        "L125",
        Warn,
        Today,
        ["면제 기한이 1년을 넘습니다.", "오래된 면제는 다시 검토되지 않습니다.", "1년 이내의 날짜를 적으십시오."],
        [
            "A waiver runs for more than a year.",
            "What is not looked at again is forgotten.",
            "Choose a day within a year.",
        ],
        SAFEGUARDS,
    ),
];
