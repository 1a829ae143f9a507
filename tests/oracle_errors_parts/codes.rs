//! The error table as its design states it, apart from the adapter's own: codes by class, and what they lead to.

use slotbridge::legacy::LegacyErrorKind::{self, Credentials, Halt, Lost, Operator, Retry, Schema, Wait};

/// A class: its label, its kind, and its codes, the representative first.
pub struct Class {
    pub label: &'static str,
    pub kind: LegacyErrorKind,
    pub codes: &'static [i32],
}

pub const BUSINESS: Class =
    Class { label: "business", kind: Halt, codes: &[2_290, 1, 2_291, 2_292, 1_400, 1_438, 12_899] };
pub const LEGACY_RULE: Class =
    Class { label: "legacy_rule", kind: Halt, codes: &[20_001, 20_000, 20_999, 4_088, 4_091] };
pub const RETRY: Class =
    Class { label: "retry", kind: Retry, codes: &[60, 8_177, 54, 30_006, 4_020, 4_021, 4_068, 4_061, 4_065, 2_049] };
pub const TOO_OLD: Class = Class { label: "snapshot_too_old", kind: Retry, codes: &[1_555] };
pub const LOST: Class = Class {
    label: "connection_lost",
    kind: Lost,
    codes: &[
        3_113, 3_114, 3_135, 28, 1_012, 12_170, 12_537, 12_541, 12_543, 12_545, 12_547, 12_514, 12_516, 12_519, 12_528,
        12_520, 1_033, 1_034, 1_089, 1_090, 27_101, 25_401, 25_402, 25_405, 25_408, 25_409,
        // The client says of a session over its idle time that it is gone, and no more.
        2_396,
    ],
};
pub const TIMEOUT: Class = Class { label: "timeout", kind: Retry, codes: &[3_156, 3_136, 1_013] };
pub const LIMITS: Class = Class { label: "limits", kind: Wait, codes: &[2_391, 2_392, 2_393, 40, 18, 20] };
pub const CREDENTIALS: Class = Class { label: "credentials", kind: Credentials, codes: &[1_017, 28_000, 28_001] };
pub const OPERATOR: Class =
    Class { label: "operator", kind: Operator, codes: &[16_000, 28_002, 1_045, 28_040, 3_134, 12_154] };
pub const SCHEMA: Class =
    Class { label: "schema", kind: Schema, codes: &[942, 904, 1_031, 900, 904, 911, 923, 932, 933, 936, 1_007, 4_098] };
pub const STANDBY: Class = Class { label: "standby_late", kind: Wait, codes: &[3_172] };
pub const RESOURCE: Class =
    Class { label: "resource", kind: Wait, codes: &[1_653, 1_652, 1_654, 1_688, 1_536, 30_036, 257] };
pub const UNLISTED: Class = Class { label: "unlisted", kind: Halt, codes: &[600, 7_445, 1_403, 2_091] };

pub const CLASSES: [&Class; 13] = [
    &BUSINESS,
    &LEGACY_RULE,
    &RETRY,
    &TOO_OLD,
    &LOST,
    &TIMEOUT,
    &LIMITS,
    &CREDENTIALS,
    &OPERATOR,
    &SCHEMA,
    &STANDBY,
    &RESOURCE,
    &UNLISTED,
];
