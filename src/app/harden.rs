//! What keeps personal data of this process's memory off the disk: no core dumps, and what is known of swap.
//!
//! Linkage information is in memory while a call lasts, keys for as long as the process runs. A core dump would write
//! both into a file. A limit of 0 stops the kernel's own files; a kernel that pipes dumps to a program ignores that
//! limit, so the process is marked as not to be dumped as well, which also keeps others of the same user from reading
//! its memory. Memory is not locked: at 15 M persons that takes a privilege the service does not have; the unit file
//! forbids swap instead, and `doctor` looks.

use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit};

use crate::legacy::finding::{Finding, Level};

/// No core dump of this process from now on, whatever its end.
pub fn harden() -> std::io::Result<()> {
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Does what `run` does first, and looks whether it took.
pub(super) fn dumps() -> Finding {
    let done = harden();
    let limit = rustix::process::getrlimit(Resource::Core);
    let is_off = limit.current == Some(0) && limit.maximum == Some(0);
    let marked = rustix::process::dumpable_behavior().ok() == Some(DumpableBehavior::NotDumpable);
    if done.is_ok() && is_off && marked {
        return Finding::fine("machine.dumps", "a crash writes no core dump, here and in `run`");
    }
    Finding::of(
        "machine.dumps",
        Level::Wrong,
        format!("limit off: {is_off}, marked: {marked}"),
        "a core dump would hold linkage information and keys",
        "set LimitCORE=0 in the unit file; `sysctl kernel.core_pattern=` writes none at all",
    )
}

/// Swap of the machine, and whether this process may use it.
pub(super) fn swap() -> Finding {
    let Ok(areas) = std::fs::read_to_string("/proc/swaps") else {
        return Finding::of(
            "machine.swap",
            Level::Unknown,
            "/proc/swaps is not readable",
            "memory of the process may be written to a swap area",
            "set MemorySwapMax=0 in the unit file",
        );
    };
    judged(areas.lines().skip(1).count(), swap_max().as_deref())
}

fn judged(areas: usize, max: Option<&str>) -> Finding {
    match (areas, max) {
        (0, _) => Finding::fine("machine.swap", "the machine has no swap"),
        (_, Some("0")) => Finding::fine("machine.swap", "this process may not use swap"),
        (areas, _) => Finding::of(
            "machine.swap",
            Level::Note,
            format!("{areas} swap area(s), and this process may use them"),
            "linkage information and keys may be written there; a service started by its unit file may not",
            "keep MemorySwapMax=0 in the unit file, or encrypt the swap area",
        ),
    }
}

/// `memory.swap.max` of the nearest control group that states one.
fn swap_max() -> Option<String> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut group = PathBuf::from("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    while group.starts_with("/sys/fs/cgroup") {
        if let Ok(max) = std::fs::read_to_string(group.join("memory.swap.max"))
            && max.trim() != "max"
        {
            return Some(max.trim().to_owned());
        }
        group.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_in_order_where_there_is_none_or_it_is_forbidden() {
        assert_eq!(judged(0, None).level, Level::Fine);
        assert_eq!(judged(2, Some("0")).level, Level::Fine);
        assert_eq!((judged(1, None).level, judged(1, Some("4096")).level), (Level::Note, Level::Note));
    }

    #[test]
    fn a_hardened_process_leaves_no_dump() {
        assert_eq!(dumps().level, Level::Fine);
    }
}
