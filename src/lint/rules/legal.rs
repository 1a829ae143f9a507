//! L5xx: legal basis. L6xx: retention.

use super::Needs::{Files, Today};
use super::{Rule, rule};
use crate::mapping::Severity::{Deny, Warn};

pub const RULES: &[Rule] = &[
    rule(
        "L501",
        Deny,
        Files,
        [
            "법적 근거가 제휴사의 지위와 맞지 않습니다.",
            "수탁자에게는 처리위탁(제26조), 제3자에게는 제공의 근거가 필요합니다.",
            "basis 또는 partners.toml의 role을 고치십시오.",
        ],
        [
            "The basis does not fit the partner's role.",
            "A trustee needs article 26, a third party a basis for providing.",
            "Correct basis, or role in partners.toml.",
        ],
        "개인정보 보호법 제17조, 제18조, 제26조",
    ),
    rule(
        "L502",
        Deny,
        Files,
        [
            "개인정보가 나가는데 '개인정보 아님'이라고 적었습니다.",
            "근거 없이 제공하는 것이 됩니다.",
            "맞는 basis를 적거나 항목을 빼십시오.",
        ],
        [
            "Personal data leave under the basis none-not-personal.",
            "They would be provided without a basis.",
            "State the basis, or withhold the columns.",
        ],
        "개인정보 보호법 제2조제1호, 제17조, 제26조",
    ),
    rule(
        "L503",
        Deny,
        Files,
        [
            "운영 피드에 가명정보 특례(제28조의2)를 근거로 들었습니다.",
            "그 조항은 통계작성, 과학적 연구, 공익적 기록보존에만 적용됩니다.",
            "위탁 또는 제공의 근거를 적으십시오.",
        ],
        [
            "An operational feed cites article 28-2 on pseudonymised data.",
            "That article allows only statistics, research and archiving.",
            "State a basis for entrusting or providing.",
        ],
        "개인정보 보호법 제28조의2",
    ),
    rule(
        "L504",
        Deny,
        Files,
        ["근거 법령이 적혀 있지 않습니다.", "근거를 확인할 수 없습니다.", "법령명과 조문을 citation에 적으십시오."],
        ["No statute is cited.", "The basis cannot be checked.", "Write statute and article under citation."],
        "개인정보 보호법 제15조, 제17조, 제26조",
    ),
    rule(
        "L505",
        Warn,
        Files,
        [
            "근거 법령에 조문 번호가 없습니다.",
            "법령 전체를 든 것은 근거를 든 것이 아닙니다.",
            "‘제○조’까지 적으십시오.",
        ],
        ["A citation names no article.", "A whole statute is no basis.", "Cite the article."],
        "개인정보 보호법 제30조",
    ),
    rule(
        "L506",
        Deny,
        Files,
        [
            "동의가 근거인데 동의서가 없습니다.",
            "동의받은 내용을 보여 줄 수 없습니다.",
            "consents/<이름>.ko.md를 추가하고 legal.consent에 적으십시오.",
        ],
        [
            "The basis is consent and there is no consent text.",
            "What was consented to cannot be shown.",
            "Add consents/<name>.ko.md and name it in legal.consent.",
        ],
        "개인정보 보호법 제17조제1항제1호, 제22조",
    ),
    rule(
        "L507",
        Deny,
        Files,
        [
            "동의서에 알려야 할 다섯 가지가 다 있지 않습니다.",
            "하나라도 빠지면 유효한 동의가 아닙니다.",
            "제공받는 자, 이용 목적, 제공 항목, 보유·이용 기간, 거부 권리와 불이익을 모두 적으십시오.",
        ],
        [
            "The consent text lacks one of the five items of notice.",
            "Without all five the consent is not valid.",
            "State recipient, purpose, items, period, and the right to refuse with its consequences.",
        ],
        "개인정보 보호법 제17조제2항",
    ),
    rule(
        "L508",
        Deny,
        Files,
        [
            "기준 이상의 개인정보를 다루는데 영향평가가 없습니다.",
            "공공기관은 기준 이상이면 영향평가를 해야 합니다.",
            "partners.toml에 impact_assessment 번호를 적으십시오.",
        ],
        [
            "No impact assessment although the number of persons is over the threshold.",
            "A public body must assess from that number on.",
            "Write its number under impact_assessment in partners.toml.",
        ],
        "개인정보 보호법 제33조, 시행령 제35조",
    ),
    rule(
        "L509",
        Deny,
        Files,
        [
            "개인정보파일이 등록되어 있지 않습니다.",
            "공공기관은 운용하는 개인정보파일을 등록해야 합니다.",
            "partners.toml에 file_registration 번호를 적으십시오.",
        ],
        [
            "The personal information file is not registered.",
            "A public body registers the files that it keeps.",
            "Write its number under file_registration in partners.toml.",
        ],
        "개인정보 보호법 제32조, 시행령 제33조",
    ),
    rule(
        "L510",
        Deny,
        Today,
        [
            "계약 기간이 끝났습니다.",
            "계약 없이 처리를 맡기거나 제공할 수 없습니다.",
            "계약을 갱신하거나 매핑을 retired로 하십시오.",
        ],
        [
            "The contract has ended.",
            "Without one nothing may be entrusted or provided.",
            "Renew it, or retire the mappings.",
        ],
        "개인정보 보호법 제26조제1항, 시행령 제28조",
    ),
    rule(
        "L511",
        Warn,
        Today,
        ["계약이 30일 안에 끝납니다.", "끝나면 개인정보 피드가 멈춥니다.", "계약 갱신을 준비하십시오."],
        ["The contract ends within 30 days.", "Feeds about persons stop when it does.", "Prepare its renewal."],
        "개인정보 보호법 제26조제1항",
    ),
    rule(
        "L512",
        Warn,
        Today,
        ["계약이 아직 시작되지 않았습니다.", "시작 전에는 제공할 수 없습니다.", "시작일까지 draft로 두십시오."],
        [
            "The contract has not begun.",
            "Nothing may be provided before it does.",
            "Keep the mapping a draft until then.",
        ],
        "개인정보 보호법 제26조제1항",
    ),
    rule(
        "L513",
        Warn,
        Files,
        [
            "목적이 형식적입니다.",
            "구체적이지 않은 목적으로는 목적 외 이용을 가릴 수 없습니다.",
            "무엇을 위해 쓰는지 한 문장으로 적으십시오.",
        ],
        [
            "The purpose is boilerplate.",
            "Use beyond a vague purpose cannot be told.",
            "Say in one sentence what it is for.",
        ],
        "개인정보 보호법 제3조제1항, 제18조",
    ),
    rule(
        "L514",
        Deny,
        Files,
        ["계약 번호가 없습니다.", "위탁은 문서로 해야 합니다.", "contract.number에 문서 번호를 적으십시오."],
        ["The contract has no number.", "Entrusting needs a document.", "Write the document's number."],
        "개인정보 보호법 제26조제1항",
    ),
    rule(
        "L601",
        Deny,
        Files,
        [
            "보유 기간이 프로토콜이나 정책의 범위를 벗어납니다.",
            "너무 짧으면 삭제가 전달되지 않고, 너무 길면 불필요하게 남습니다.",
            "정책과 P7D 이상의 범위로 고치십시오.",
        ],
        [
            "A retention outside what the protocol or the policy needs.",
            "Too short, and deletions are missed; too long, and data stay without need.",
            "Stay within the policy, and at P7D or more for the bridge.",
        ],
        "개인정보 보호법 제21조; OpenActive RPDE 1.0",
    ),
    rule(
        "L602",
        Warn,
        Files,
        [
            "삭제 표시를 30일 넘게 보관합니다.",
            "지운 것의 기록도 필요 이상 남기지 않아야 합니다.",
            "bridge_max를 P30D 이하로 하십시오.",
        ],
        [
            "Deleted items are kept for more than 30 days.",
            "What is deleted should not linger either.",
            "Use P30D or less for bridge_max.",
        ],
        "개인정보 보호법 제21조제1항",
    ),
    rule(
        "L603",
        Deny,
        Files,
        [
            "사람이 들어 있는 피드에 [erasure]가 없습니다.",
            "삭제 요구가 제휴사에서 이행되었는지 확인할 수 없습니다.",
            "[erasure] acknowledge_hours_max를 적으십시오.",
        ],
        [
            "A feed with persons in it has no [erasure].",
            "Nobody would know whether the partner has erased.",
            "Add [erasure] with acknowledge_hours_max.",
        ],
        "개인정보 보호법 제36조",
    ),
    rule(
        "L604",
        Deny,
        Files,
        [
            "삭제 확인 기한이 5일(120시간)을 넘습니다.",
            "파기는 5일 이내에 해야 합니다.",
            "acknowledge_hours_max를 120 이하로 하십시오.",
        ],
        [
            "Erasure may be acknowledged later than five days (120 hours).",
            "Data must be destroyed within five days.",
            "Use 120 or less.",
        ],
        "개인정보 보호법 제21조; 표준 개인정보 보호지침 제10조",
    ),
    rule(
        "L605",
        Warn,
        Today,
        [
            "제휴사의 보유 기간이 계약 종료일을 넘습니다.",
            "계약이 끝나면 파기하거나 돌려주어야 합니다.",
            "partner_max를 줄이거나 계약을 갱신하십시오.",
        ],
        [
            "The partner may keep items beyond the end of the contract.",
            "At its end they must be destroyed or returned.",
            "Shorten partner_max, or renew the contract.",
        ],
        "개인정보 보호법 제21조, 제26조; 시행령 제28조",
    ),
];
