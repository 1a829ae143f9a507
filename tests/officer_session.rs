//! The session of mappings/README.md, command by command, with the real program: three folders stand for three machines.
//!
//! One thing is not typed: the first approvals take effect 24 hours after they were signed, so the officers' key files
//! sign those here as of two days ago.

mod approval_kit;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use approval_kit::{DAY_MS, Office};
use slotbridge::approval::Roster;
use slotbridge::domain::Secret;
use slotbridge::keys::OfficerKey;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSPHRASE: &str = "네 단어로 된 긴 암호문";
const ORIGIN: &str = "booking.example.go.kr";

struct Machines {
    dir: tempfile::TempDir,
    env: BTreeMap<&'static str, String>,
}

/// A block of the session: the machine, and its commands.
type Block = (String, Vec<String>);

fn session() -> Vec<Block> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/README.md")).unwrap();
    let section = readme.split("## 담당자의 하루").nth(1).expect("the section");
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = |text: &str| {
        let mut lines = text.lines();
        let machine = lines.next().and_then(|line| line.strip_prefix("# ")).expect("a machine").to_owned();
        (machine, lines.map(str::to_owned).collect())
    };
    blocks.map(block).collect()
}

impl Machines {
    fn new() -> Machines {
        let dir = tempfile::tempdir().unwrap();
        let bin = Path::new(env!("CARGO_BIN_EXE_slotbridge")).parent().unwrap().to_owned();
        let mut env = BTreeMap::from([("PATH", format!("{}:/usr/bin:/bin", bin.display()))]);
        for name in ["SLOTBRIDGE_LISTEN_PARTNERS_HTTP", "SLOTBRIDGE_LISTEN_OBSERVE"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            env.insert(name, listener.local_addr().unwrap().to_string());
        }
        for machine in ["ops", "kim", "lee"] {
            std::fs::create_dir(dir.path().join(machine)).unwrap();
        }
        for officer in ["kim", "lee"] {
            let file = dir.path().join(officer).join("pass");
            std::fs::write(&file, format!("{PASSPHRASE}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        Machines { dir, env }
    }

    fn at(&self, machine: &str) -> PathBuf {
        self.dir.path().join(machine)
    }

    fn shell(&self, machine: &str, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.at(machine)).env_clear().envs(&self.env);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{machine}$ {line}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Output by command.
    fn play(&self, blocks: &[Block]) -> BTreeMap<String, String> {
        let lines = blocks.iter().flat_map(|(machine, lines)| lines.iter().map(move |line| (machine, line)));
        lines.map(|(machine, line)| (line.clone(), self.shell(machine, line))).collect()
    }

    /// The first versions of all mappings, signed with the officers' own key files.
    fn first_approvals(&self) {
        let mappings = self.at("ops").join("mappings");
        let roster = Roster::parse(&std::fs::read(mappings.join("officers.toml")).unwrap(), ORIGIN).unwrap();
        let keys = ["kim", "lee"].map(|officer| {
            let passphrase = Secret::new(PASSPHRASE.as_bytes().to_vec());
            let key = OfficerKey::open(&self.at(officer).join(format!("{officer}.key")), &passphrase).unwrap();
            let sign: approval_kit::Sign = Box::new(move |text: &str| key.sign(text));
            (officer, sign)
        });
        Office::of(ORIGIN, roster, keys.into()).approve(&mappings, approval_kit::now().plus_ms(-2 * DAY_MS));
    }

    fn published(&self, key: &str) -> String {
        let address = &self.env["SLOTBRIDGE_LISTEN_PARTNERS_HTTP"];
        get(address, "/v1/feeds/slots?limit=500", &format!("Authorization: Bearer {key}\r\n"))
    }

    fn until(&self, key: &str, wanted: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let page = self.published(key);
            if page.contains(wanted) {
                return page;
            }
            assert!(Instant::now() < until, "{wanted} is not published: {page}");
        }
    }
}

fn get(address: &str, path: &str, headers: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn output<'a>(outputs: &'a BTreeMap<String, String>, command: &str) -> &'a str {
    outputs.iter().find(|(line, _)| line.starts_with(command)).unwrap_or_else(|| panic!("no {command}")).1
}

#[test]
fn the_session_in_the_readme_runs_as_it_is_written() {
    let blocks = session();
    assert_eq!(blocks.len(), 7, "{blocks:?}");
    let machines = Machines::new();
    let once = machines.play(&blocks[..3]);
    let genesis = output(&once, "slotbridge officer genesis");
    assert!(genesis.contains("genesis = \""), "{genesis}");
    let listed = output(&once, "slotbridge officer list");
    assert!(listed.contains("김보호 보호책임자") && listed.contains("이담당 보호담당자"), "{listed}");
    let before = machines.shell("ops", "slotbridge mappings verify naver.slots");
    assert!(before.contains("0 of 2 signatures"), "{before}");

    machines.first_approvals();
    machines.shell("ops", "slotbridge legacy generate --slots 300 --people 50");
    let added = machines.shell("ops", "slotbridge partner add naver --json");
    let added: serde_json::Value = serde_json::from_str(&added).unwrap();
    let key = added["key"].as_str().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_slotbridge"));
    run.arg("run").current_dir(machines.at("ops")).env_clear().envs(&machines.env);
    let _daemon = Daemon(run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    machines.until(key, "\"5-9\"");

    let change = machines.play(&blocks[3..]);
    let diff = output(&change, "slotbridge mappings diff");
    assert!(diff.contains("축소 (narrower)") && diff.contains("attribute"), "{diff}");
    assert!(output(&change, "slotbridge mappings sample").contains("가상"), "a sample says that it is made up");
    let kim = output(&change, "slotbridge mappings approve naver.slots --bundle naver.slots.bundle --document-no");
    for said in
        [ORIGIN, "결정: 승인", "판정: 축소", "이 서명은 전자결재를 대신하지 않습니다.", "signed by kim/device (1"]
    {
        assert!(kim.contains(said), "{said}: {kim}");
    }
    let lee = output(&change, "slotbridge mappings approve naver.slots --bundle naver.slots.bundle --note");
    assert!(lee.contains("signed by lee/device (2 signature(s)"), "{lee}");
    assert!(output(&change, "slotbridge mappings import").contains("in force until"), "{change:?}");
    let verified = output(&change, "slotbridge mappings verify");
    assert!(verified.contains("kim/device 보호책임자 [본인 기기], lee/device 보호담당자 [본인 기기]"), "{verified}");
    let page = machines.until(key, "\"5+\"");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let status = machines.shell("ops", "slotbridge status --json");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let mut lines = status["mappings"].as_array().unwrap().iter();
    let slots = lines.find(|line| line["mapping"] == "naver.slots").unwrap();
    assert_eq!((&slots["version"], slots["standing"].as_str()), (&2.into(), Some("in_force")), "{slots}");
    refusals(&machines);
}

/// What must not pass, over the same folders.
fn refusals(machines: &Machines) {
    let fails = |machine: &str, line: &str, code: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(machines.at(machine)).env_clear().envs(&machines.env);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(&format!("error[{code}]")), "{line}: {told}");
    };
    let sign =
        "slotbridge mappings approve naver.slots --bundle naver.slots.bundle --key kim.key --passphrase-file pass";
    fails("kim", sign, "not_confirmed");
    fails("kim", &format!("chmod 644 pass; {sign} --yes"), "key_exposed");
    machines.shell("kim", "chmod 600 pass");
    fails("kim", &format!("{sign} --yes --origin other.example.go.kr"), "other_deployment");
    fails("kim", &format!("{sign} --yes --note kim.note"), "signed_already");
    machines.shell("kim", "sed 's/booking.example/booking.exemple/' naver.slots.bundle > other.bundle");
    fails("kim", &format!("{} --yes", sign.replace("naver.slots.bundle", "other.bundle")), "other_deployment");
    machines.shell("kim", "sed 's/cutoff_min = 30/cutoff_min = 31/' naver.slots.bundle > changed.bundle");
    fails("kim", &format!("{} --yes", sign.replace("naver.slots.bundle", "changed.bundle")), "bundle_changed");
    machines.shell("ops", "sed 's/축소/확대/' both.note > false.note");
    fails("ops", "slotbridge mappings import false.note", "note_refused");
    fails("ops", "slotbridge officer register kim.toml", "not_as_signed");

    // One officer stops it; then one byte of what was signed is another.
    let stop = "slotbridge mappings stop naver.slots --dir ../ops/mappings --config ../ops/slotbridge.toml";
    machines.shell("lee", &format!("{stop} --reason '민원 확인' --key lee.key --passphrase-file pass --yes"));
    let stopped = machines.shell("ops", "slotbridge mappings verify naver.slots");
    assert!(stopped.contains("stopped by lee"), "{stopped}");
    let note = machines.shell("ops", "ls mappings/approvals/kakao.slots/*.note");
    machines.shell("ops", &format!("sed -i 's/서명 시각: 2/서명 시각: 3/' {note}"));
    let verify = Command::new(env!("CARGO_BIN_EXE_slotbridge"))
        .args(["mappings", "verify", "--json"])
        .current_dir(machines.at("ops"))
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&verify.stdout).unwrap();
    assert_eq!((verify.status.code(), &told["ok"]), (Some(1), &false.into()), "{told}");
    assert!(told["broken"][0]["path"].as_str().unwrap().starts_with("approvals/kakao.slots/"), "{told}");
}

/// Another officer, proposed, signed by both and then in force; and one who leaves.
#[test]
fn an_officer_joins_once_two_of_the_roster_before_signed() {
    let machines = Machines::new();
    machines.play(&session()[..3]);
    machines.shell("ops", "cp ../kim/pass .; slotbridge officer keygen park --name 박감사 --role auditor --passphrase-file pass --out park.key --entry park.toml");
    let proposed = machines.shell("ops", "slotbridge officer register park.toml");
    assert!(proposed.contains("2 officers of the one before"), "{proposed}");
    let listed = machines.shell("ops", "slotbridge officer list");
    assert!(listed.contains("proposed: roster 2") && listed.contains("0 of 2 signatures"), "{listed}");
    machines.shell("ops", "slotbridge mappings export --out roster.bundle");
    let approve = "slotbridge mappings approve --roster --bundle ../ops/roster.bundle --passphrase-file pass --yes";
    machines.shell("kim", &format!("{approve} --author 인사과 --key kim.key --out kim.note"));
    machines.shell("lee", &format!("{approve} --key lee.key --note ../kim/kim.note --out both.note"));
    let one = machines.shell("ops", "slotbridge mappings import ../kim/kim.note");
    assert!(one.contains("1 of 2 signatures"), "{one}");
    let both = machines.shell("ops", "slotbridge mappings import ../lee/both.note");
    assert!(both.contains("in force"), "{both}");
    let listed: serde_json::Value =
        serde_json::from_str(&machines.shell("ops", "slotbridge officer list --json")).unwrap();
    assert_eq!(listed["in_force"]["roster"]["version"], 2, "{listed}");
    assert_eq!(listed["proposed"], serde_json::Value::Null);
    let left = machines.shell("ops", "slotbridge officer retire lee && slotbridge officer list");
    assert!(left.contains("proposed: roster 3") && left.contains("left "), "{left}");
}

/// Both sign in the operator's folder; then a wider version, which waits, and one that is sent back.
#[test]
fn a_wider_version_waits_a_day_and_a_refusal_is_kept() {
    let machines = Machines::new();
    machines.play(&session()[..3]);
    machines.first_approvals();
    let edit =
        |from: &str, to: &str| machines.shell("ops", &format!("sed -i 's|{from}|{to}|' mappings/naver/slots.toml"));
    let over = "--dir ../ops/mappings --config ../ops/slotbridge.toml --passphrase-file pass --yes";
    edit("cutoff_min = 30", "cutoff_min = 20");
    let kim = machines.shell("kim", &format!("slotbridge mappings approve naver.slots {over} --key kim.key"));
    assert!(kim.contains("판정: 확대") && kim.contains("1 of 2 signatures"), "{kim}");
    let lee = machines.shell("lee", &format!("slotbridge mappings approve naver.slots {over} --key lee.key"));
    assert!(lee.contains("takes effect at"), "{lee}");
    edit("cutoff_min = 20", "cutoff_min = 10");
    let why = "--decision 보완요구 --reason '마감 시각의 근거를 적을 것'";
    let back = machines.shell("lee", &format!("slotbridge mappings approve naver.slots {over} {why} --key lee.key"));
    assert!(back.contains("against what you signed last: 확대 (wider)") && back.contains("refused by lee"), "{back}");
    let verified = machines.shell("ops", "slotbridge mappings verify naver.slots");
    assert!(verified.contains("보완 요구 (조건부 적합) this version, "), "{verified}");
    // What the linter denies is not signed: the contract ended.
    machines.shell("ops", "sed -i 's|ends = \"2027-12-31\"|ends = \"2026-01-31\"|' mappings/partners.toml");
    let mut denied = Command::new("sh");
    denied.args(["-c", &format!("slotbridge mappings approve naver.slots {over} --key kim.key")]);
    let denied = denied.current_dir(machines.at("kim")).env_clear().envs(&machines.env).output().unwrap();
    assert!(String::from_utf8_lossy(&denied.stderr).contains("error[lint_denies]"), "{denied:?}");
}
