//! Mappings from the folder to what the daemon runs on: layouts, feed plans, answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::date;

use crate::answer::{Answers, Mapped, Place, Project};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Problem, Problems};
use crate::domain::{PartnerId, Timestamp};
use crate::lint::{self, Beside};
use crate::mapping::{self, FeedKind, Layout, MappingSet};
use crate::mapping_files::{FolderError, read_folder};
use crate::privacy::{Ports, Projector};
use crate::publish::FeedPlan;

use super::in_force::{InForce, Unjudged, choose};

/// What is in force, compiled.
pub struct Compiled {
    pub in_force: InForce,
    /// Order of the columns that the mappings were compiled for.
    layouts: Vec<Layout>,
    projectors: BTreeMap<(PartnerId, FeedKind), Arc<Projector>>,
    /// As replies use them: these are stored for ever and hold no person token.
    for_replies: BTreeMap<(PartnerId, FeedKind), Arc<Projector>>,
}

/// Loads the folder and compiles all of it, whether it is approved or not; all problems at once.
pub fn compile(dir: &Path, ports: &Ports) -> Result<Compiled, Problems> {
    Compiled::of(choose(load(dir)?, &Unjudged, Timestamp::default()), dir, ports, None)
}

impl Compiled {
    /// Compiles what is in force; all problems at once. With `running` columns stand where those layouts put them; an
    /// object that would need another column than they have is a problem.
    pub fn of(in_force: InForce, dir: &Path, ports: &Ports, running: Option<&[Layout]>) -> Result<Compiled, Problems> {
        let mut problems = Problems::default();
        let wanted = in_force.set.layouts();
        let layouts = running.map_or_else(|| wanted.clone(), <[Layout]>::to_vec);
        for what in running.map(|running| beyond(&wanted, running)).unwrap_or_default() {
            problems.push(about(dir, "mappings.restart", what));
        }
        let (mut projectors, mut for_replies) = (BTreeMap::new(), BTreeMap::new());
        let compilable = problems.is_empty();
        for chosen in in_force.running.values().filter(|_| compilable) {
            let (partner, kind) = (chosen.partner(), chosen.kind());
            let set = in_force.set_of(chosen).with_layouts(layouts.clone());
            let compiled =
                || Projector::compile(&set, partner, kind).map(|projector| projector.with_ports(ports.clone()));
            match (compiled(), compiled()) {
                (Ok(projector), Ok(again)) => {
                    projectors.insert((partner.clone(), kind), Arc::new(projector));
                    for_replies.insert((partner.clone(), kind), Arc::new(again.for_replies()));
                }
                (Err(error), _) | (_, Err(error)) => {
                    problems.push(about(dir, "mappings.not_compiled", error.to_string()));
                }
            }
        }
        if problems.is_empty() { Ok(Compiled { in_force, layouts, projectors, for_replies }) } else { Err(problems) }
    }
}

/// What rows that are fetched by `running` cannot give; one line an object.
fn beyond(wanted: &[Layout], running: &[Layout]) -> Vec<String> {
    let of = |layout: &Layout| {
        let Some(has) = running.iter().find(|has| has.object == layout.object && has.view == layout.view) else {
            return Some(format!("{} is not read yet: restart the daemon to read it", layout.object));
        };
        let missing = layout.columns.iter().filter(|column| !has.columns.contains(column));
        let missing: Vec<&str> = missing.map(|column| &*column.name).collect();
        (!missing.is_empty()).then(|| {
            let (object, missing) = (&layout.object, missing.join(", "));
            format!("{object}: {missing} would be fetched, or otherwise than now: restart the daemon for that")
        })
    };
    wanted.iter().filter_map(of).collect()
}

/// Reads and judges the folder.
pub fn load(dir: &Path) -> Result<MappingSet, Problems> {
    judge(dir, &read(dir)?)
}

/// The folder's files.
pub fn read(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, Problems> {
    read_folder(dir).map_err(|error| {
        let cause = match &error {
            FolderError::Io { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Problems(vec![about(dir, "mappings.unreadable", cause)])
    })
}

/// As a set, if the files are one and no rule of the linter denies what they say.
pub fn judge(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<MappingSet, Problems> {
    let report = lint::lint(files, Beside { risk: None, standings: None, today: today() });
    let denied = report.denials_of_content().map(|finding| Problem {
        code: finding.rule.id,
        file: dir.join(&finding.file),
        text: Some(finding.text.clone()).filter(|text| !text.is_empty()),
        span: Some(finding.span.clone()),
        message: finding.en.clone(),
        cause: "here".to_owned(),
        try_: finding.hint.clone().unwrap_or_else(|| finding.rule.en.fix.to_owned()),
    });
    let denied: Vec<Problem> = denied.collect();
    if !denied.is_empty() {
        return Err(Problems(denied));
    }
    // The report has everything that loading refuses.
    mapping::load(files).map_err(|found| {
        let what = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Problems(vec![about(dir, "mappings.refused", what)])
    })
}

/// In Seoul.
pub fn today() -> jiff::civil::Date {
    let day = SystemClock.now().seoul_day();
    date(1970, 1, 1).checked_add(i64::from(day).days()).unwrap_or(jiff::civil::Date::MAX)
}

fn about(dir: &Path, code: &'static str, message: String) -> Problem {
    Problem {
        code,
        file: PathBuf::from(dir),
        text: None,
        span: None,
        message,
        cause: "the mappings cannot be used".to_owned(),
        try_: "`slotbridge init DIR` writes the shipped mappings".to_owned(),
    }
}

impl Compiled {
    /// The set in force, for what is not a feed: partners, policy, catalogue.
    pub fn set(&self) -> &MappingSet {
        &self.in_force.set
    }

    pub fn layouts(&self) -> Vec<Layout> {
        self.layouts.clone()
    }

    /// A feed for every mapping in force; where none is, the feed stays as it was.
    pub fn plans(&self) -> Vec<FeedPlan> {
        let rendered = self.projectors.values().map(|projector| FeedPlan::of(projector.clone()));
        let held = self.in_force.held();
        let kept = held.map(|(partner, kind, line)| FeedPlan::kept(partner.clone(), kind, &line.id, line.version_told));
        rendered.chain(kept).collect()
    }

    pub fn answers(&self, config: &Config) -> Answers {
        let url = &config.daemon.public_url;
        let place = Place { problems_url: format!("{url}/problems"), help_url: config.daemon.help_url.clone() };
        let mut partners: BTreeMap<PartnerId, Arc<dyn Project>> = BTreeMap::new();
        for partner in self.set().partners() {
            let of = |kind| self.for_replies.get(&(partner.clone(), kind)).cloned();
            let mapped = Mapped { slots: of(FeedKind::Slots), bookings: of(FeedKind::Bookings) };
            if mapped.slots.is_some() {
                partners.insert(partner.clone(), Arc::new(mapped));
            }
        }
        Answers { place, partners }
    }
}
