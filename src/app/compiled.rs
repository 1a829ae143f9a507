//! Mappings from the folder to what the daemon runs on: layouts, feed plans, answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::date;

use crate::answer::{Answers, Mapped, Place, Project};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Problem, Problems};
use crate::domain::PartnerId;
use crate::lint::{self, Beside};
use crate::mapping::{self, FeedKind, Layout, MappingSet};
use crate::mapping_files::{FolderError, read_folder};
use crate::privacy::{Ports, Projector};
use crate::publish::FeedPlan;

/// A loaded set and its compiled mappings.
pub struct Compiled {
    pub set: MappingSet,
    projectors: BTreeMap<(PartnerId, FeedKind), Arc<Projector>>,
    /// As replies use them: these are stored for ever and hold no person token.
    for_replies: BTreeMap<(PartnerId, FeedKind), Arc<Projector>>,
}

/// Loads and compiles; all problems at once.
pub fn compile(dir: &Path, ports: &Ports) -> Result<Compiled, Problems> {
    let set = load(dir)?;
    let mut problems = Problems::default();
    let (mut projectors, mut for_replies) = (BTreeMap::new(), BTreeMap::new());
    for (partner, kind, _) in set.feeds() {
        let compiled = || Projector::compile(&set, partner, kind).map(|projector| projector.with_ports(ports.clone()));
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
    if problems.is_empty() { Ok(Compiled { set, projectors, for_replies }) } else { Err(problems) }
}

/// Reads and judges the folder.
pub fn load(dir: &Path) -> Result<MappingSet, Problems> {
    let files = read_folder(dir).map_err(|error| {
        let cause = match &error {
            FolderError::Io { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Problems(vec![about(dir, "mappings.unreadable", cause)])
    })?;
    let report = lint::lint(&files, Beside { risk: None, standings: None, today: today() });
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
    mapping::load(&files).map_err(|found| {
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
    pub fn layouts(&self) -> Vec<Layout> {
        self.set.layouts()
    }

    pub fn plans(&self) -> Vec<FeedPlan> {
        self.projectors.values().map(|projector| FeedPlan::of(projector.clone())).collect()
    }

    pub fn answers(&self, config: &Config) -> Answers {
        let url = &config.daemon.public_url;
        let place = Place { problems_url: format!("{url}/problems"), help_url: config.daemon.help_url.clone() };
        let mut partners: BTreeMap<PartnerId, Arc<dyn Project>> = BTreeMap::new();
        for partner in self.set.partners() {
            let of = |kind| self.for_replies.get(&(partner.clone(), kind)).cloned();
            let mapped = Mapped { slots: of(FeedKind::Slots), bookings: of(FeedKind::Bookings) };
            if mapped.slots.is_some() {
                partners.insert(partner.clone(), Arc::new(mapped));
            }
        }
        Answers { place, partners }
    }
}
