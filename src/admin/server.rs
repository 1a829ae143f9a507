//! The socket's serving side.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{Ask, LINE_BYTES_MAX, RELEASE_MAX, RETRY_MAX, Told};

/// Connections served at once; one more waits.
const CONNECTIONS_MAX: usize = 8;
/// A local client that says nothing for so long is dropped.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the daemon does about an ask. Called on a thread that may block.
pub trait Commands: Send + Sync + 'static {
    fn answer(&self, ask: Ask, peer: Peer) -> Told;
}

/// Who asks, as the kernel states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: Option<u32>,
}

impl Peer {
    /// For the access log. Names are not looked up: they may change, and a lookup may ask the network.
    pub fn account(self) -> String {
        self.uid.map_or_else(|| "uid unknown".to_owned(), |uid| format!("uid {uid}"))
    }
}

/// Binds `path` (an old socket there is replaced: the data lock says that nobody serves it) and serves until `stop`.
pub fn serve(
    path: &Path,
    commands: Arc<dyn Commands>,
    stop: CancellationToken,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(accept(listener, path.to_owned(), commands, stop))
}

async fn accept(
    listener: UnixListener,
    path: std::path::PathBuf,
    commands: Arc<dyn Commands>,
    stop: CancellationToken,
) {
    let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the admin socket could not accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let (commands, stop) = (commands.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                served = converse(stream, commands) => if let Err(error) = served {
                    tracing::debug!(%error, "an admin connection ended early");
                },
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
    let _ = std::fs::remove_file(path);
}

async fn converse(stream: UnixStream, commands: Arc<dyn Commands>) -> io::Result<()> {
    let peer = Peer { uid: stream.peer_cred().ok().map(|credentials| credentials.uid()) };
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(LINE_BYTES_MAX as u64);
        let got = tokio::time::timeout(LINE_TIMEOUT, bounded.read_until(b'\n', &mut line)).await;
        match got {
            Ok(Ok(0)) | Err(_) => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
        }
        let is_whole = line.ends_with(b"\n");
        let told = if is_whole {
            answer(&line, &commands, peer).await
        } else {
            refuse("line_too_long", "a line is at most 64 KiB")
        };
        let mut reply = serde_json::to_vec(&told)?;
        reply.push(b'\n');
        write.write_all(&reply).await?;
        if !is_whole {
            return Ok(());
        }
    }
}

async fn answer(line: &[u8], commands: &Arc<dyn Commands>, peer: Peer) -> Told {
    let ask: Ask = match serde_json::from_slice(line) {
        Ok(ask) => ask,
        Err(error) => return refuse("not_understood", &error.to_string()),
    };
    if let Ask::Release { slots } = &ask
        && slots.len() > RELEASE_MAX
    {
        return refuse("too_many_slots", "a release names at most 1000 slots");
    }
    if let Ask::Retry { ops } = &ask
        && ops.len() > RETRY_MAX
    {
        return refuse("too_many_ops", "a retry names at most 100 ops");
    }
    let commands = commands.clone();
    match tokio::task::spawn_blocking(move || commands.answer(ask, peer)).await {
        Ok(told) => told,
        Err(_) => refuse("failed", "the command failed; the log says why"),
    }
}

fn refuse(code: &str, detail: &str) -> Told {
    Told::Error { code: code.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::ask;

    struct Echo;

    impl Commands for Echo {
        fn answer(&self, ask: Ask, peer: Peer) -> Told {
            assert_eq!(peer.uid, Some(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())));
            Told::Ok(serde_json::json!({ "asked": format!("{ask:?}") }))
        }
    }

    #[test]
    fn a_line_asked_is_a_line_answered_and_nonsense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let serving = {
            let _inside = runtime.enter();
            serve(&path, Arc::new(Echo), stop.clone()).unwrap()
        };
        let served = runtime.spawn(serving);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ask(&path, &Ask::Status).unwrap(), serde_json::json!({ "asked": "Status" }));
        let slots = vec![crate::domain::SlotKey::new("1").unwrap(); RELEASE_MAX + 1];
        let error = ask(&path, &Ask::Release { slots }).unwrap_err().to_string();
        assert!(error.contains("at most 1000 slots"), "{error}");
        let ops = vec![crate::domain::Position(1); RETRY_MAX + 1];
        let error = ask(&path, &Ask::Retry { ops }).unwrap_err().to_string();
        assert!(error.contains("at most 100 ops"), "{error}");
        let raw = |line: &[u8]| {
            use std::io::{Read, Write};
            let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            stream.write_all(line).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        assert!(raw(b"{\"ask\":\"reboot\"}\n").contains("not_understood"));
        assert!(raw(&vec![b'x'; LINE_BYTES_MAX]).contains("line_too_long"));
        stop.cancel();
        runtime.block_on(served).unwrap();
        assert!(!path.exists());
    }
}
