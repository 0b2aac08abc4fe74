//! Metrics, health and the status page over HTTP: for the machine itself, unless the configuration says otherwise.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::error::NodeError;
use super::program::Program;
use super::status::Status;
use super::{metrics, page};

/// The head of a request.
const HEAD_BYTES: usize = 8 * 1024;
const HEADERS: usize = 64;
/// The head comes within this.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// A request and its answer are over within this.
const LONGEST: Duration = Duration::from_secs(20);
/// After a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// A port that is listened at.
#[derive(Debug)]
pub(super) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// What is answered.
struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl Server {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, NodeError> {
        let failed = |source| NodeError::Http { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where, with the port that the system chose when none was given.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the node shuts down. Connections beyond the bound are closed at once.
    pub(super) async fn run(self, program: Arc<Program>) {
        let places = Arc::new(Semaphore::new(program.config().http.connections.get()));
        // A page of another site may have a name that leads here; no name of such does when it is asked for by address.
        let guarded = self.address.ip().is_loopback();
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = program.stop().stopped() => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for HTTP: raise the limit of open files");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let program = Arc::clone(&program);
            connections.spawn(async move {
                serve(program, stream, guarded).await;
                drop(place);
            });
        }
        connections.shutdown().await;
    }
}

/// One request, and the end of the connection.
async fn serve(program: Arc<Program>, stream: TcpStream, guarded: bool) {
    let service = service_fn(|request| {
        let answer = answer(&program, &request, guarded);
        async move { Ok::<_, Infallible>(response(answer, request.method() == Method::HEAD)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_header_size(HEAD_BYTES)
        .max_headers(HEADERS)
        // Who has said all may say so, and still wants the answer.
        .half_close(true)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // What a stranger did wrong on the connection is of no interest.
    let _ = tokio::time::timeout(LONGEST, connection).await;
}

fn answer(program: &Program, request: &Request<Incoming>, guarded: bool) -> Answer {
    let plain = |status, body: &str| Answer { status, kind: TEXT, body: format!("{body}\n") };
    if guarded && !request.headers().get(HOST).is_none_or(is_local) {
        return plain(StatusCode::MISDIRECTED_REQUEST, "ask by the address, or for localhost");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
    }
    match request.uri().path() {
        "/" => Answer { status: StatusCode::OK, kind: HTML, body: page::page(&Status::of(program)) },
        "/metrics" => match metrics::text(Status::of(program), program.store().times()) {
            Ok(body) => Answer { status: StatusCode::OK, kind: metrics::CONTENT_TYPE, body },
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
        },
        "/healthz" => plain(StatusCode::OK, "ok"),
        "/readyz" => {
            let not_ready = Status::of(program).not_ready;
            if not_ready.is_empty() {
                plain(StatusCode::OK, "ready")
            } else {
                plain(StatusCode::SERVICE_UNAVAILABLE, &not_ready.join("\n"))
            }
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /, /metrics, /healthz and /readyz"),
    }
}

/// Whether a request names this machine by address or as localhost.
fn is_local(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

fn response(answer: Answer, head_only: bool) -> Response<Full<Bytes>> {
    let Answer { status, kind, body } = answer;
    let body = if head_only { Bytes::new() } else { body.into() };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        let local = |host: &'static str| is_local(&HeaderValue::from_static(host));
        for host in ["127.0.0.1", "127.0.0.1:9464", "localhost:1", "LOCALHOST", "[::1]:9464"] {
            assert!(local(host), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com:80", "127.0.0.1.example.com", "a:b"] {
            assert!(!local(host), "{host}");
        }
    }
}
