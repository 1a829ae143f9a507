//! The partner's guide, as it stands: its commands against a demonstration that runs as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Commands of every `sh` block, and the line that starts the demonstration.
fn guide() -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/partner/GUIDE.md");
    let text = std::fs::read_to_string(path).expect("the guide");
    let mut blocks = text.split("```").skip(1).step_by(2);
    let demo = blocks.next().expect("a first block").trim().to_owned();
    let script: String = blocks.map(|block| block.strip_prefix("sh\n").expect("every other block is sh")).collect();
    (demo, script)
}

#[test]
fn every_command_of_the_guide_works() {
    let (demo, script) = guide();
    let dir = tempfile::tempdir().expect("a folder");
    let bin = Path::new(env!("CARGO_BIN_EXE_slotbridge")).parent().expect("a folder").to_owned();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    // The port of the text may be taken on the machine that tests.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address").port().to_string()
    };
    assert!(demo.contains("8400") && script.contains(":8400"), "{demo}");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", &script.replace("8400", &port)]).current_dir(dir.path()).env("PATH", &path);
        command.stdin(Stdio::null());
        command
    };
    let mut process = Demo(shell(&format!("exec {demo}")).stdout(Stdio::piped()).spawn().expect("the demonstration"));
    let lines = BufReader::new(process.0.stdout.take().expect("its output")).lines();
    let mut lines = lines.map(|line| line.expect("text"));
    assert!(lines.any(|line| line.contains("slotbridge partner feeds")), "the demonstration ended early");
    let reading = std::thread::spawn(move || lines.for_each(drop));
    // Cohort rules come with their first tick, up to 10 s after the start.
    let setting: String =
        script.lines().filter(|line| line.starts_with("export ")).map(|line| format!("{line}\n")).collect();
    let listed = || shell(&format!("{setting}slotbridge partner feeds")).output().expect("a shell").stdout;
    let until = Instant::now() + PATIENCE;
    while String::from_utf8_lossy(&listed())
        .lines()
        .any(|line| line.starts_with("eligibility") && line.contains(" 0 items"))
    {
        assert!(Instant::now() < until, "no cohort rules");
    }
    let done = shell(&script).output().expect("a shell");
    let (said, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}\n{errors}");
    for expected in ["may book", "cancel", "passed", "curl -s -H", "by\":\"rule"] {
        assert!(said.contains(expected), "{expected}: {said}\n{errors}");
    }
    let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).expect(file);
    let ci = read("demo/partner/person-2.ci");
    assert!(!said.contains(ci.trim()) && !errors.contains(ci.trim()), "a CI is printed");
    let key = read("demo/partner/naver.key");
    assert!(!said.contains(key.trim()), "a key is printed");
    assert!(read("booking.json").contains("\"accepted\""), "{}", read("booking.json"));
    drop(process);
    reading.join().expect("the reader ends with the process");
}
