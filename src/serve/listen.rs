//! Listeners and connections: own loop, because every wait needs a deadline and every connection a place.
//!
//! Plain HTTP is spoken on loopback only. What is refused here (too many headers, a header that takes too long) has
//! no problem body: nobody has said who they are yet.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::tls::peer_certificate;
use super::{Api, Peer, Settings, TlsError, router};

/// Bound of headers in a request.
const HEADERS_MAX: usize = 64;
/// Bound of streams on an HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Pause after a failed accept (out of descriptors, say), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in.
pub enum Door {
    Loopback(TcpListener),
    Network(TcpListener, Arc<ServerConfig>),
}

impl Door {
    /// Plain HTTP, on a loopback address only.
    pub async fn loopback(address: SocketAddr) -> Result<Door, TlsError> {
        if !address.ip().is_loopback() {
            return Err(TlsError::PlainOnNetwork { address });
        }
        let bound = TcpListener::bind(address).await;
        bound.map(Door::Loopback).map_err(|source| TlsError::Bind { address, source })
    }

    /// TLS with client certificates.
    pub async fn network(address: SocketAddr, config: Arc<ServerConfig>) -> Result<Door, TlsError> {
        let bound = TcpListener::bind(address).await;
        bound.map(|listener| Door::Network(listener, config)).map_err(|source| TlsError::Bind { address, source })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        match self {
            Door::Loopback(listener) | Door::Network(listener, _) => listener.local_addr(),
        }
    }
}

/// Serves until `stop`, then lets open requests finish within the grace.
pub async fn run(api: Arc<Api>, doors: Vec<Door>, stop: CancellationToken) {
    let router = router(&api);
    let places = Arc::new(Semaphore::new(api.parts.settings.connections_max));
    let connections = TaskTracker::new();
    let accepting = TaskTracker::new();
    for door in doors {
        let host = Host {
            settings: api.parts.settings.clone(),
            router: router.clone(),
            stop: stop.clone(),
            places: places.clone(),
            connections: connections.clone(),
        };
        accepting.spawn(host.accept(door));
    }
    accepting.close();
    accepting.wait().await;
    // A handler outlives its connection and holds a way to the desk, so a held read would hold up the stop.
    api.ending.cancel();
    connections.close();
    let grace = Duration::from_millis(api.parts.settings.grace_ms_max);
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut at the end of the grace");
    }
}

#[derive(Clone)]
struct Host {
    settings: Settings,
    router: Router,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    connections: TaskTracker,
}

impl Host {
    async fn accept(self, door: Door) {
        let (listener, tls) = match door {
            Door::Loopback(listener) => (listener, None),
            Door::Network(listener, config) => (listener, Some(TlsAcceptor::from(config))),
        };
        loop {
            // A place first: beyond the bound, connections wait in the kernel's queue until a deadline frees one.
            let place = tokio::select! {
                () = self.stop.cancelled() => return,
                place = self.places.clone().acquire_owned() => place,
            };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (Ok(place), Ok((stream, _))) = (place, accepted) else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (host, tls) = (self.clone(), tls.clone());
            self.connections.spawn(async move {
                host.connection(stream, tls).await;
                drop(place);
            });
        }
    }

    async fn connection(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // A small answer must not wait for more bytes; a socket that refuses the option works without it.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.http1(TokioIo::new(stream), Peer::Loopback).await;
        };
        let deadline = Duration::from_millis(self.settings.header_ms_max);
        let Ok(Ok(stream)) = tokio::time::timeout(deadline, tls.accept(stream)).await else { return };
        let (_, session) = stream.get_ref();
        let Some(peer) = session.peer_certificates().and_then(|chain| peer_certificate(chain.first()?)) else { return };
        let is_h2 = session.alpn_protocol() == Some(b"h2");
        let peer = Peer::Certificate(peer);
        if is_h2 { self.http2(TokioIo::new(stream), peer).await } else { self.http1(TokioIo::new(stream), peer).await }
    }

    async fn http1<S>(self, io: TokioIo<S>, peer: Peer)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Runs from accept and from the end of each response, so it bounds idle connections too.
            .header_read_timeout(Duration::from_millis(self.settings.header_ms_max))
            .max_headers(HEADERS_MAX)
            .max_buf_size(self.settings.header_bytes_max.max(8_192))
            .serve_connection(io, Routed { router: self.router.clone(), peer });
        self.served(connection).await;
    }

    async fn http2<S>(self, io: TokioIo<S>, peer: Peer)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let interval = Duration::from_millis(self.settings.header_ms_max);
        let header_bytes = u32::try_from(self.settings.header_bytes_max).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(interval)
            .keep_alive_timeout(interval)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(header_bytes)
            .serve_connection(io, Routed { router: self.router.clone(), peer });
        self.served(connection).await;
    }

    async fn served(&self, connection: impl GracefulConnection) {
        tokio::pin!(connection);
        tokio::select! {
            // How a connection ended is the caller's business.
            _ = connection.as_mut() => return,
            () = self.end() => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(self.grace(), connection).await;
    }

    /// When a connection takes no further requests.
    async fn end(&self) {
        let age = Duration::from_millis(self.settings.connection_age_ms_max);
        let _ = tokio::time::timeout(age, self.stop.cancelled()).await;
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(self.settings.grace_ms_max)
    }
}

/// The router for one connection: tells the gate who is at the other end.
#[derive(Clone)]
struct Routed {
    router: Router,
    peer: Peer,
}

impl Service<Request<Incoming>> for Routed {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = tower::util::Oneshot<Router, Request<Body>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        self.router.clone().oneshot(request)
    }
}
