//! A connection: logon, then calls until it ends; or one message that concerns another connection.

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::execute::{Execute, rows_of};
use super::session::{Fail, Session};
use super::{Count, OraError, Shared, lock};
use crate::wire::{self, Call, Reply, Request};

pub fn serve(stream: UnixStream, shared: &Arc<Shared>) {
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let Ok((call, _)) = wire::receive::<Call>(&mut stream) else { return };
    match call.what {
        Request::Logon { user, password, client } => match Session::logon(shared, &user, &password, &client) {
            Ok(session) => run(stream, session),
            Err(fail) => answer(&mut stream, Err(fail)),
        },
        Request::Cancel { session, secret, call } => {
            cancel(shared, session, secret, call);
            answer(&mut stream, Ok((Reply::Done, Vec::new())));
        }
        Request::Stats => {
            shared.flush_counts();
            answer(&mut stream, Ok((Reply::Done, Vec::new())));
        }
        _ => {}
    }
}

/// Calls of clients by kind, among the counters of statements: texts that no statement has.
struct Trips([Arc<Count>; 5]);

impl Trips {
    fn new(shared: &Shared) -> Trips {
        Trips(["execute", "fetch", "commit", "rollback", "other"].map(|kind| shared.count(&format!("-- call {kind}"))))
    }

    fn count(&self, what: &Request) {
        let at = match what {
            Request::Execute { .. } => 0,
            Request::Fetch { .. } => 1,
            Request::Commit => 2,
            Request::Rollback => 3,
            _ => 4,
        };
        self.0[at].calls.fetch_add(1, Ordering::Relaxed);
    }
}

fn cancel(shared: &Shared, session: u32, secret: u64, call: u64) {
    let Some(target) = lock(&shared.sessions).get(&session).cloned() else { return };
    if target.secret != secret || target.call.load(Ordering::SeqCst) != call {
        return;
    }
    target.asked.store(true, Ordering::SeqCst);
    if target.stepping.load(Ordering::SeqCst)
        && let Some(interrupt) = lock(&target.interrupt).as_ref()
    {
        interrupt.interrupt();
    }
    shared.bell.ring();
}

fn answer(stream: &mut BufReader<UnixStream>, made: Result<(Reply, Vec<u8>), Fail>) {
    let (reply, cells) = made.unwrap_or_else(|Fail { error: OraError { code, text }, dead }| {
        (Reply::Failed { code, text, rows_done: 0, dead }, Vec::new())
    });
    // A client that is gone is found out at the next receive.
    wire::send(stream.get_mut(), &reply, &cells).ok();
}

fn run(mut stream: BufReader<UnixStream>, mut session: Session) {
    let id = Reply::Session {
        id: session.id,
        secret: session.cancel.secret,
        charset_id: session.charset.oci_id(),
        warning: None,
    };
    answer(&mut stream, Ok((id, Vec::new())));
    let trips = Trips::new(&session.shared);
    while let Ok((call, cells)) = wire::receive::<Call>(&mut stream) {
        session.cancel.asked.store(false, Ordering::SeqCst);
        session.cancel.call.store(call.number, Ordering::SeqCst);
        for cursor in call.closed {
            session.close(cursor);
        }
        trips.count(&call.what);
        let is_last = matches!(call.what, Request::Logoff);
        let made = handle(&mut session, call.what, &cells);
        session.cancel.call.store(0, Ordering::SeqCst);
        let is_dead = matches!(made, Err(Fail { dead: true, .. }));
        if is_last || is_dead {
            // What the session held is free before its client goes on.
            session.end();
            answer(&mut stream, made);
            return;
        }
        answer(&mut stream, made);
    }
    session.end();
}

fn handle(session: &mut Session, what: Request, cells: &[u8]) -> Result<(Reply, Vec<u8>), Fail> {
    let done = Ok((Reply::Done, Vec::new()));
    match what {
        Request::Execute { cursor, sql, iters, batch_errors, commit, prefetch } => {
            let rows = rows_of(cells, iters);
            let answer = session.execute(&Execute { cursor, sql: &sql, rows, batch_errors, prefetch })?;
            if commit {
                session.commit()?;
            }
            Ok(answer)
        }
        Request::Fetch { cursor, rows } => session.fetch(cursor, rows),
        Request::Commit => {
            session.meet("commit", "commit", false, None)?;
            session.commit()?;
            session.meet("commit", "commit", true, None)?;
            done
        }
        Request::Rollback => {
            session.meet("rollback", "rollback", false, None)?;
            session.rollback();
            done
        }
        Request::Ping => {
            session.meet("ping", "ping", false, None)?;
            done
        }
        Request::Version => {
            let mut ctl = lock(&session.shared.ctl);
            let version = ctl.param("version");
            let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            let mut next = || parts.next().unwrap_or(0);
            let number = (next() << 24) | (next() << 20) | (next() << 12) | (next() << 8) | next();
            Ok((Reply::Text(ctl.param("banner"), number), Vec::new()))
        }
        Request::Attribute { name, value } => {
            session.attribute(&name, &value)?;
            done
        }
        Request::Logoff => done,
        Request::Logon { .. } | Request::Cancel { .. } | Request::Stats => {
            Err(OraError::new(3106, "fatal two-task communication protocol error").into())
        }
    }
}
