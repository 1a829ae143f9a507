//! Refused passwords and accounts that alternate, under the worker.

use std::path::Path;

use slotbridge::legacy::LegacyErrorKind;
use slotbridge::legacy::oracle::write::Body;
use slotbridge::legacy::oracle::{Login, OracleRead};
use slotbridge::writeback::Turn;

use crate::bridge::Bridge;
use crate::codes::CREDENTIALS;
use crate::kit::Fault;

fn login(folder: &Path, user: &str, secret: &str) -> Login {
    let secret_file = folder.join(format!("{user}.secret"));
    std::fs::write(&secret_file, secret).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&secret_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Login { user: user.to_owned(), secret_file }
}

fn folder(bridge: &Bridge) -> std::path::PathBuf {
    bridge.legacy_file().parent().unwrap().to_owned()
}

/// Logons that the server has heard of, successful or not, are those that meet this fault.
fn no_logon_is_tried(bridge: &Bridge) {
    bridge.server().fault(Fault::at("logon").code(12_541, "a logon was tried").times(1_000));
}

#[test]
fn a_refused_secret_blocks_every_thread_and_every_later_process_until_its_file_changes() {
    for code in CREDENTIALS.codes {
        let what = format!("ORA-{code:05}");
        let mut bridge = Bridge::new(Body::Sql);
        bridge.book(0);
        bridge.restart();
        bridge.server().fault(Fault::at("logon").on("BRIDGE_W").code(*code, "refused"));
        let (error, turn) = bridge.meet();
        assert_eq!((error.kind, error.class), (LegacyErrorKind::Credentials, CREDENTIALS.label), "{what}: {error:?}");
        assert!(matches!(turn, Turn::Lost { .. }), "{what}");
        no_logon_is_tried(&bridge);
        for process in 0..3 {
            for _ in 0..50 {
                assert!(matches!(bridge.turn(), Turn::Lost { .. }), "{what}");
            }
            assert_eq!(bridge.stats().status.code(), "halted", "{what}");
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let oracle = bridge.oracle.clone();
                    let open = move || {
                        slotbridge::legacy::oracle::Session::open(&oracle, slotbridge::legacy::oracle::Account::Write)
                    };
                    std::thread::spawn(move || slotbridge::legacy::LegacyError::from(open().err().unwrap()))
                })
                .collect();
            for thread in threads {
                let refused = thread.join().unwrap();
                assert_eq!(refused.kind, LegacyErrorKind::Credentials, "{what}, process {process}: {refused}");
                assert!(refused.message.contains("not tried") && refused.message.contains(&what), "{refused}");
            }
            bridge.restart();
        }
        bridge.server().no_faults();
        // The other role has another account.
        assert!(OracleRead::open(bridge.oracle.clone()).is_ok(), "{what}");
        bridge.turn();
        login(&folder(&bridge), "unused", "x");
        let secret = bridge.oracle.settings().write_accounts[0].secret_file.clone();
        std::fs::write(secret, "another").unwrap();
        bridge.secrets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        bridge.settle();
        assert_eq!(bridge.recount().bridge, 1, "{what}");
        bridge.exactly_once(&what);
    }
}

#[test]
fn two_accounts_alternate_so_that_a_password_is_changed_while_the_bridge_works() {
    let mut bridge = Bridge::new(Body::Sql);
    for (user, password) in [("BRIDGE_R", "secret"), ("BRIDGE_W1", "one"), ("BRIDGE_W2", "two")] {
        bridge.server().user(user, password);
    }
    let folder = folder(&bridge);
    bridge.write_accounts(vec![login(&folder, "BRIDGE_W1", "one"), login(&folder, "BRIDGE_W2", "two")]);
    let users =
        |bridge: &Bridge| -> Vec<String> { bridge.server().sessions().into_iter().map(|session| session.0).collect() };
    bridge.disconnect();
    bridge.book(0);
    bridge.settle();
    assert_eq!(users(&bridge), ["BRIDGE_W1"]);
    // The DBA changes the first account's password: the session goes on, the next logon is the other account's.
    bridge.server().user("BRIDGE_W1", "changed");
    bridge.book(0);
    bridge.settle();
    assert_eq!(users(&bridge), ["BRIDGE_W1"]);
    bridge.server().fault(Fault::at("execute").on("%SB_FENCE F FOR UPDATE%").kill());
    bridge.book(1);
    bridge.settle();
    assert_eq!(users(&bridge), ["BRIDGE_W2"]);
    let blocked = |bridge: &Bridge| -> Vec<String> {
        bridge.oracle.vault().entries().unwrap().into_iter().map(|entry| entry.account).collect()
    };
    assert_eq!(blocked(&bridge), ["BRIDGE_W1"], "its old secret was tried once");
    // The operator writes the new secret; then it is the second account's turn. Nothing is restarted.
    login(&folder, "BRIDGE_W1", "changed");
    bridge.server().user("BRIDGE_W2", "changed too");
    bridge.server().fault(Fault::at("commit").kill().after());
    bridge.book(2);
    bridge.settle();
    assert_eq!(users(&bridge), ["BRIDGE_W1"]);
    assert_eq!(blocked(&bridge), ["BRIDGE_W2"], "the first account's entry is gone");
    login(&folder, "BRIDGE_W2", "changed too");
    bridge.book(2);
    bridge.settle();
    assert_eq!(bridge.recount().bridge, 5);
    bridge.exactly_once("after both were changed");
}
