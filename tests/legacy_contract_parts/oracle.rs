//! The Oracle adapter over the double, whose server works on the same legacy file.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use slotbridge::legacy::oracle::write::{Body, Settings as Writing};
use slotbridge::legacy::oracle::{Login, Oracle, OracleRead, OracleWrite, Settings};
use slotbridge::legacy::{LegacyRead, LegacyWrite};

use crate::harness::{Harness, Legacy};
use crate::kit::{Server, artefacts};

pub struct OnOracle {
    legacy: Legacy,
    pub oracle: Arc<Oracle>,
    body: Body,
    // After the sessions.
    #[allow(dead_code)] // the tests of faults use it
    pub server: Server,
}

impl OnOracle {
    pub fn new(legacy: Legacy, body: Body) -> OnOracle {
        let server = Server::start(&legacy.path);
        if body == Body::Procedure {
            // Nothing else: no view, no table.
            server.grant("BRIDGE_W", "SB_API", "EXECUTE");
        }
        let secret = legacy.beside("oracle.secret");
        std::fs::write(&secret, "secret").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let login = |user: &str| vec![Login { user: user.to_owned(), secret_file: secret.clone() }];
        let folder = legacy.path.parent().unwrap();
        let settings = Settings {
            read_accounts: login("BRIDGE_R"),
            write_accounts: login("BRIDGE_W"),
            client_dir: Some(artefacts().to_owned()),
            ..Settings::new(&server.connect_string(), "SLOTBRIDGE", folder)
        };
        OnOracle { oracle: Oracle::new(settings).unwrap(), legacy, body, server }
    }
}

impl Harness for OnOracle {
    fn legacy(&self) -> &Legacy {
        &self.legacy
    }

    fn reader(&self) -> Box<dyn LegacyRead> {
        Box::new(OracleRead::open(self.oracle.clone()).unwrap())
    }

    fn writer(&self) -> Box<dyn LegacyWrite> {
        let settings = Writing {
            body: self.body,
            maintained: self.legacy.setting.maintained,
            person_constraint: self.legacy.setting.constraint,
            ..Writing::default()
        };
        Box::new(OracleWrite::open(self.oracle.clone(), settings).unwrap())
    }
}
