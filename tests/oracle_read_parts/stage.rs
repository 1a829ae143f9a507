//! A generated legacy file, the double over it, and settings of the adapter that lead there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use slotbridge::domain::{ObjectName, Timestamp, Value};
use slotbridge::legacy::oracle::{Account, Login, Oracle, OracleRead, Settings};
use slotbridge::legacy::sqlite::{PersonConstraint, generate, schema};
use slotbridge::legacy::{CutInfo, Hint, LegacyError, LegacyRead, RowSink};
use slotbridge::mapping::catalogue::{ColumnType, LayoutColumn, Role};
use slotbridge::mapping::{Catalogue, Layout};

use crate::oracle_kit::{Server, artefacts};

pub const READER: &str = "SB_READ";
pub const WRITER: &str = "SB_WRITE";

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub file: PathBuf,
    pub server: Server,
}

impl Stage {
    pub fn new() -> Stage {
        Stage::with(|_| {})
    }

    /// `prepare` gets the file before the server starts.
    pub fn with(prepare: impl FnOnce(&mut rusqlite::Connection)) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("legacy.db");
        let mut connection = schema::create(&file, PersonConstraint::UniqueIndex).unwrap();
        let now = Timestamp::parse_rfc3339("2026-11-22T20:00:00+09:00").unwrap();
        let plan = generate::Plan { sites: 30, slots: 150, people: 400, ..generate::Plan::new(11, now) };
        generate::sites_and_slots(&mut connection, &plan).unwrap();
        generate::persons(&mut connection, &plan, &mut |_, _| {}).unwrap();
        prepare(&mut connection);
        drop(connection);
        let server = Server::start(&file);
        Stage { folder, file, server }
    }

    pub fn login(&self, user: &str, secret: &str) -> Login {
        let secret_file = self.folder.path().join(format!("{user}.secret"));
        std::fs::write(&secret_file, secret).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&secret_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        Login { user: user.to_owned(), secret_file }
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(&self.server.connect_string(), "SLOTBRIDGE", self.folder.path());
        settings.client_dir = Some(artefacts().to_owned());
        settings.read_accounts = vec![self.login(READER, "tiger\n")];
        settings.write_accounts = vec![self.login(WRITER, "lion")];
        settings
    }

    pub fn reader(&self) -> OracleRead {
        open(self.settings()).unwrap()
    }

    pub fn oracle(&self) -> Arc<Oracle> {
        Oracle::new(self.settings()).unwrap()
    }
}

pub fn open(settings: Settings) -> Result<OracleRead, LegacyError> {
    OracleRead::open(Oracle::new(settings)?)
}

/// Opens a session of the role and tells the error.
pub fn refusal(oracle: &Oracle, account: Account) -> LegacyError {
    match slotbridge::legacy::oracle::Session::open(oracle, account) {
        Ok(_) => panic!("the logon was not refused"),
        Err(failure) => failure.into(),
    }
}

/// Every view of the shipped catalogue with every column.
pub fn layouts() -> Vec<Layout> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/catalog.toml")).unwrap();
    let catalogue: Catalogue = toml::from_str(&text).unwrap();
    let mut layouts = Vec::new();
    for object in catalogue.objects {
        let Some(view) = object.view else { continue };
        let columns = object
            .columns
            .iter()
            .filter(|c| !c.derived)
            .map(|c| LayoutColumn { name: c.name.as_str().into(), kind: c.kind, role: c.role, material: c.material })
            .collect();
        layouts.push(Layout { object: object.name, view, columns });
    }
    layouts
}

pub fn layout(view: &str) -> Layout {
    layouts().into_iter().find(|layout| layout.view == view).expect("a view of the catalogue")
}

pub fn own_layout(view: &str, columns: &[(&str, ColumnType, Option<Role>)]) -> Layout {
    let columns = columns
        .iter()
        .map(|(name, kind, role)| LayoutColumn { name: (*name).into(), kind: *kind, role: *role, material: false })
        .collect();
    Layout { object: ObjectName::new("slot").unwrap(), view: view.to_owned(), columns }
}

/// Rows of a cut by layout, in an order of their own.
pub fn cut(reader: &mut dyn LegacyRead, layouts: &[Layout]) -> Result<Vec<BTreeSet<String>>, LegacyError> {
    let wanted: Vec<&Layout> = layouts.iter().collect();
    let mut rows = vec![BTreeSet::new(); layouts.len()];
    reader.cut(&wanted, &mut |at, row| {
        rows[at].insert(format!("{row:?}"));
        Ok(())
    })?;
    Ok(rows)
}

pub fn rows(layout: &Layout, reader: &mut dyn LegacyRead, hint: &Hint<'_>) -> Result<Vec<Vec<Value>>, LegacyError> {
    let mut found = Vec::new();
    reader.hinted(layout, hint, &mut |row| {
        found.push(row);
        Ok(())
    })?;
    found.sort_by_key(|row| format!("{row:?}"));
    Ok(found)
}

/// The embedded reader as Oracle's DATE has it: whole seconds.
pub struct Seconds<R>(pub R);

fn whole(mut row: Vec<Value>) -> Vec<Value> {
    for value in &mut row {
        if let Value::Time(at) = value {
            at.0 = at.0.div_euclid(1_000) * 1_000;
        }
    }
    row
}

impl<R: LegacyRead> LegacyRead for Seconds<R> {
    fn columns(&mut self, view: &str) -> Result<Vec<(String, String)>, LegacyError> {
        self.0.columns(view)
    }

    fn cut(
        &mut self,
        layouts: &[&Layout],
        sink: &mut dyn FnMut(usize, Vec<Value>) -> Result<(), LegacyError>,
    ) -> Result<CutInfo, LegacyError> {
        self.0.cut(layouts, &mut |at, row| sink(at, whole(row)))
    }

    fn page(
        &mut self,
        layout: &Layout,
        after: Option<&str>,
        rows_max: u32,
        sink: &mut RowSink<'_>,
    ) -> Result<CutInfo, LegacyError> {
        self.0.page(layout, after, rows_max, &mut |row| sink(whole(row)))
    }

    fn hinted(&mut self, layout: &Layout, hint: &Hint<'_>, sink: &mut RowSink<'_>) -> Result<CutInfo, LegacyError> {
        self.0.hinted(layout, hint, &mut |row| sink(whole(row)))
    }

    fn lag_ms(&mut self) -> Result<u64, LegacyError> {
        self.0.lag_ms()
    }

    fn statements(&self) -> u64 {
        self.0.statements()
    }
}
