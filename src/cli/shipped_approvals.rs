//! What the demonstration's officers signed over the shipped mappings. Written by tests/demo_approvals.rs.

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        /// Path below `mappings/` and content.
        pub const APPROVALS: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../mappings/", $path)))),*];
    };
}

embedded![
    "approvals/audit.sites/a5ca363fcd62.json",
    "approvals/audit.sites/a5ca363fcd62.note",
    "approvals/audit.slots/d1e89ba23012.json",
    "approvals/audit.slots/d1e89ba23012.note",
    "approvals/kakao.bookings/e7d279116683.json",
    "approvals/kakao.bookings/e7d279116683.note",
    "approvals/kakao.eligibility/ff7e1f043d66.json",
    "approvals/kakao.eligibility/ff7e1f043d66.note",
    "approvals/kakao.sites/1919526a4e79.json",
    "approvals/kakao.sites/1919526a4e79.note",
    "approvals/kakao.slots/a5a73adb945d.json",
    "approvals/kakao.slots/a5a73adb945d.note",
    "approvals/naver.bookings/2547755d22eb.json",
    "approvals/naver.bookings/2547755d22eb.note",
    "approvals/naver.eligibility/9c07bb02787b.json",
    "approvals/naver.eligibility/9c07bb02787b.note",
    "approvals/naver.sites/ef8455487ee1.json",
    "approvals/naver.sites/ef8455487ee1.note",
    "approvals/naver.slots/0b47f7a81fe7.json",
    "approvals/naver.slots/0b47f7a81fe7.note",
    "approvals/officers/6d77cbb2993d.toml",
    "officers.toml",
];
