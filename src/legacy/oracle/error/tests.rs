//! Every code of the table, one by one.

use oracle::{DbError, Error};

use super::*;

const TABLE: &[(ErrorClass, &[u32])] = &[
    (ErrorClass::Business, &[1, 2290, 2291, 2292, 1400, 1438, 12899]),
    (ErrorClass::LegacyRule, &[20_000, 20_001, 20_500, 20_999, 4088, 4091]),
    (ErrorClass::Retry, &[60, 8177, 54, 30_006, 4020, 4021, 4068, 4061, 4065, 2049]),
    (ErrorClass::SnapshotTooOld, &[1555]),
    (
        ErrorClass::ConnectionLost,
        &[
            3113, 3114, 3135, 28, 1012, 12170, 12537, 12541, 12543, 12545, 12547, 12514, 12516, 12519, 12528, 12520,
            1033, 1034, 1089, 1090, 27101, 25401, 25402, 25405, 25408, 25409,
        ],
    ),
    (ErrorClass::Timeout, &[3136, 3156, 1013]),
    (ErrorClass::Limits, &[2391, 2392, 2393, 2396, 40, 18, 20]),
    (ErrorClass::Credentials, &[1017, 28_000, 28_001]),
    (ErrorClass::Operator, &[28_002, 1045, 28_040, 3134, 12154, 16_000]),
    (ErrorClass::Schema, &[942, 904, 1031, 900, 901, 907, 911, 918, 923, 933, 936, 932, 1007, 4098]),
    (ErrorClass::StandbyLate, &[3172]),
    (ErrorClass::Resource, &[1652, 1653, 1654, 1688, 1536, 30_036, 257]),
    (ErrorClass::Unlisted, &[0, 2, 899, 937, 600, 604, 7445, 1722, 19_999, 21_000, 99_999]),
];

fn server_says(message: &str, code: i32) -> Error {
    // The crate offers no other way to make the error that a server's answer becomes.
    #[allow(deprecated)]
    if message.starts_with("DPI") {
        Error::DpiError(DbError::new(code, 0, message, "", ""))
    } else {
        Error::OciError(DbError::new(code, 0, message, "", ""))
    }
}

#[test]
fn each_code_has_the_class_of_the_table() {
    for (class, codes) in TABLE {
        for code in *codes {
            let message = format!("ORA-{code:05}: text of the server");
            let error = server_says(&message, i32::try_from(*code).unwrap());
            let failure = Failure::of(&error, Step::Execute, "test");
            if *code != 604 && *code != 0 {
                assert_eq!(failure.code, Code::Ora(*code));
            }
            assert_eq!(failure.class, *class, "ORA-{code:05}");
            let told = LegacyError::from(failure);
            assert_eq!((told.kind, told.class), (policy(*class).kind, policy(*class).label), "ORA-{code:05}");
        }
    }
    for (code, class) in [
        (1080, ErrorClass::ConnectionLost),
        (1010, ErrorClass::ConnectionLost),
        (1067, ErrorClass::Timeout),
        (1047, ErrorClass::Operator),
        (1072, ErrorClass::Operator),
        (1001, ErrorClass::Unlisted),
    ] {
        let error = server_says(&format!("DPI-{code}: text"), 0);
        assert_eq!(Failure::of(&error, Step::Execute, "test").class, class, "DPI-{code}");
    }
}

#[test]
fn each_class_has_its_own_label_and_kind() {
    let told: Vec<(&str, LegacyErrorKind)> = ErrorClass::ALL.map(|c| (policy(c).label, policy(c).kind)).to_vec();
    use LegacyErrorKind::*;
    assert_eq!(
        told,
        [
            ("business", Halt),
            ("legacy_rule", Halt),
            ("retry", Retry),
            ("snapshot_too_old", Retry),
            ("connection_lost", Lost),
            ("timeout", Retry),
            ("limits", Wait),
            ("operator", Operator),
            ("credentials", Credentials),
            ("schema", Schema),
            ("standby_late", Wait),
            ("resource", Wait),
            ("unlisted", Halt),
        ]
    );
}

#[test]
fn each_code_that_needs_a_person_has_a_hint_of_its_own() {
    let mut hints: Vec<&str> = Vec::new();
    for (_, codes) in TABLE.iter().filter(|(c, _)| matches!(c, ErrorClass::Operator | ErrorClass::Credentials)) {
        hints.extend(codes.iter().map(|code| hint_of(Code::Ora(*code)).expect("a hint")));
    }
    hints.extend([1047, 1072].map(|code| hint_of(Code::Dpi(code)).expect("a hint")));
    let count = hints.len();
    hints.sort_unstable();
    hints.dedup();
    assert_eq!((count, hints.len()), (11, 11));
}

#[test]
fn a_dead_session_is_known_by_its_dpi_code() {
    let error = server_says("DPI-1080: connection was closed by ORA-02396\u{fffd}\u{fffd}x", 2396);
    assert_eq!(code_of(&error), Code::Dpi(1080));
    assert_eq!(Failure::of(&error, Step::Fetch, "test").class, ErrorClass::ConnectionLost);
}

#[test]
fn only_the_first_line_is_read() {
    assert_eq!(code_of(&server_says("ORA-01722: invalid number\nORA-03113: heap\u{fffd}", 1722)), Code::Ora(1722));
    assert_eq!(code_of(&server_says("no code here\nORA-03113: heap", 54)), Code::Ora(54));
    assert_eq!(code_of(&server_says("ORA-12: short", 0)), Code::Driver("an error without a code"));
}

#[test]
fn a_recursive_error_is_what_its_inner_code_says() {
    let text = "ORA-00604: error occurred at recursive SQL level 1\nORA-01653: unable to extend table X";
    assert_eq!(code_of(&server_says(text, 604)), Code::Ora(1653));
    let twice = "ORA-00604: level 1\nORA-00604: level 2\nno code ORA-00001\nORA-00054: busy";
    assert_eq!(code_of(&server_says(twice, 604)), Code::Ora(54));
    assert_eq!(code_of(&server_says("ORA-00604: level 1", 604)), Code::Ora(604));
}

#[test]
fn only_a_lost_or_late_commit_is_in_doubt() {
    let cases = [
        (Code::Dpi(1080), Step::Commit, true),
        (Code::Ora(3113), Step::Commit, true),
        (Code::Dpi(1067), Step::Commit, true),
        (Code::Ora(1013), Step::Commit, true),
        (Code::Ora(2290), Step::Commit, false),
        (Code::Ora(60), Step::Commit, false),
        (Code::Dpi(1080), Step::Execute, false),
        (Code::Ora(1013), Step::Fetch, false),
        (Code::Ora(3113), Step::Rollback, false),
    ];
    for (code, step, in_doubt) in cases {
        let failure = Failure::of_code(code, step, "test");
        assert_eq!(failure.in_doubt(), in_doubt, "{code} {step:?}");
        assert_eq!(LegacyError::from(failure).in_doubt, in_doubt);
    }
}

#[test]
fn the_servers_text_is_not_in_the_error() {
    let error = server_says("ORA-20001: 홍길동 800101-1234567 already booked", 20_001);
    let told = LegacyError::from(Failure::of(&error, Step::Execute, "op.insert_booking"));
    assert_eq!(told.message, "ORA-20001 (execute of op.insert_booking)");
    assert!(!told.to_string().contains("홍길동"));
}
