//! L7xx: approvals. L8xx: what the running bridge halts for.

use super::Needs::{Files, Runtime, Standings};
use super::{Rule, rule};
use crate::mapping::Severity::{Deny, Warn};

const DECIDE: &str = "개인정보 보호법 제31조; 행정업무의 운영 및 혁신에 관한 규정 제10조";
const HALT: &str = "개인정보 보호법 제29조, 제34조; 개인정보의 안전성 확보조치 기준 제6조";

pub const RULES: &[Rule] = &[
    rule(
        "L701",
        Deny,
        Files,
        [
            "게시하는 매핑에 기안자가 없습니다.",
            "기안자가 자기 것을 결재하지 못하게 할 수 없습니다.",
            "author에 기안자의 id를 적으십시오.",
        ],
        [
            "An active mapping names no author.",
            "The author cannot be kept from signing.",
            "Write the drafting officer's id under author.",
        ],
        DECIDE,
    ),
    rule(
        "L702",
        Warn,
        Standings,
        [
            "게시하는 매핑에 효력 있는 승인이 없습니다.",
            "승인되지 않은 판은 게시되지 않습니다.",
            "`slotbridge mappings approve`로 승인받으십시오.",
        ],
        [
            "An active mapping has no approval in force.",
            "A version that is not approved is not published.",
            "Have it approved: `slotbridge mappings approve`.",
        ],
        DECIDE,
    ),
    rule(
        "L703",
        Deny,
        Standings,
        [
            "승인의 유효기간이 지났습니다.",
            "만료된 승인으로 개인정보를 제공할 수 없습니다.",
            "다시 검토하여 승인받으십시오.",
        ],
        [
            "The approval is older than its validity.",
            "Personal data may not leave under an expired approval.",
            "Have it examined and approved again.",
        ],
        DECIDE,
    ),
    rule(
        "L704",
        Warn,
        Files,
        [
            "없는 매핑의 승인입니다.",
            "무엇을 승인한 것인지 알 수 없는 기록이 남습니다.",
            "매핑 이름을 확인하거나 승인 기록을 보관소로 옮기십시오.",
        ],
        [
            "An approval of a mapping that does not exist.",
            "Nobody can tell what it approves.",
            "Check the mapping's id, or move the record to the archive.",
        ],
        DECIDE,
    ),
    rule(
        "L705",
        Warn,
        Standings,
        [
            "초안이나 폐지된 매핑의 이전 판이 게시되고 있습니다.",
            "폴더를 읽는 사람은 나가지 않는다고 믿습니다.",
            "제공 중지를 서명하거나 status를 active로 하십시오.",
        ],
        [
            "A draft or retired mapping is published in an earlier version.",
            "Who reads the folder believes that nothing leaves.",
            "Sign its stop, or make it active.",
        ],
        DECIDE,
    ),
    rule(
        "L706",
        Deny,
        Standings,
        [
            "반려되었거나 제공이 중지된 매핑입니다.",
            "결정을 바꾸지 않고 게시할 수 없습니다.",
            "고쳐서 새 판으로 다시 올리십시오.",
        ],
        [
            "The mapping was rejected or stopped.",
            "It cannot be published unless that is decided anew.",
            "Mend it and submit a new version.",
        ],
        DECIDE,
    ),
    rule(
        "L707",
        Warn,
        Files,
        [
            "approvals/ 아래에 자리에 맞지 않는 파일이 있습니다.",
            "승인 기록이 아닌 것이 승인처럼 보일 수 있습니다.",
            "approvals/<매핑>/<12자리>.json 또는 .note만 두십시오.",
        ],
        [
            "A file below approvals/ is no approval by its name.",
            "It could be taken for one.",
            "Keep only approvals/<mapping>/<12 hex>.json and .note there.",
        ],
        DECIDE,
    ),
    rule(
        "L708",
        Deny,
        Standings,
        [
            "기안자가 자기 매핑에 서명했습니다.",
            "기안과 결재는 다른 사람이 해야 합니다.",
            "다른 담당자의 서명을 받으십시오.",
        ],
        [
            "The author has signed the mapping.",
            "Drafting and deciding are for different persons.",
            "Have another officer sign.",
        ],
        DECIDE,
    ),
    rule(
        "L801",
        Deny,
        Runtime,
        [
            "내보내려는 값이 주민등록번호, 휴대전화번호, CI 등의 모양입니다.",
            "분류가 맞아도 원천에 잘못 들어온 값은 그대로 유출됩니다.",
            "원천의 값을 고치고 정지를 해제하십시오.",
        ],
        [
            "A value about to leave is shaped like a resident number, mobile number, CI or the like.",
            "A value that was put in the wrong column leaks whatever its class.",
            "Mend the source, then release the halt.",
        ],
        HALT,
    ),
    rule(
        "L802",
        Deny,
        Runtime,
        [
            "내보내려는 값에 표식(카나리아)이 있습니다.",
            "나가서는 안 되는 경로로 값이 흘렀다는 뜻입니다.",
            "즉시 중지하고 경로를 조사하십시오.",
        ],
        [
            "A value about to leave holds a canary.",
            "Values have taken a way that they must not take.",
            "Stop, and find the way.",
        ],
        HALT,
    ),
    rule(
        "L803",
        Deny,
        Runtime,
        [
            "내보내려는 형식이 승인된 것과 다릅니다.",
            "승인되지 않은 항목이 나갈 수 있습니다.",
            "프로그램과 매핑의 판을 확인하십시오.",
        ],
        [
            "What is about to leave has another schema than approved.",
            "A field that nobody approved could leave.",
            "Check the versions of program and mapping.",
        ],
        HALT,
    ),
    rule(
        "L804",
        Deny,
        Runtime,
        [
            "건수가 정책보다 크게 변했습니다.",
            "잘못된 적재나 조건 오류일 수 있습니다.",
            "원인을 확인하고 확인(confirm)하십시오.",
        ],
        [
            "The number of rows jumped by more than the policy allows.",
            "A wrong load or filter may be the cause.",
            "Find out, then confirm.",
        ],
        HALT,
    ),
];
