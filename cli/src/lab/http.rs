//! Just enough HTTP for a page on this machine: a request line and headers within limits, an answer, a stream.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest request line with headers; an address holds a formula.
pub const MOST_HEAD: usize = 32 << 10;
/// A head must be complete within this time: on one machine it comes in one piece.
const HEAD_TIME: Duration = Duration::from_millis(900);
/// Time in which a reader must take some of what is written.
const WRITE_TIME: Duration = Duration::from_secs(20);

/// A request without a body.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// GET or POST.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    headers: Vec<(String, String)>,
}

/// Why a request gets no other answer than a status.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal(pub u16, pub &'static str);

impl Request {
    /// The request in `head`, which ends before the empty line.
    pub fn parse(head: &str) -> Result<Self, Refusal> {
        let bad = Refusal(400, "this is no HTTP request");
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or("").split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (first.next(), first.next(), first.next(), first.next())
        else {
            return Err(bad);
        };
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return Err(bad);
        }
        if !["GET", "POST"].contains(&method) {
            return Err(Refusal(405, "only GET and POST are answered"));
        }
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(bad)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Self { method: method.into(), path: path.into(), query: query.into(), headers };
        let has_body =
            |(name, value): &(String, String)| name == "transfer-encoding" || name == "content-length" && value != "0";
        if request.headers.iter().any(has_body) {
            return Err(Refusal(413, "no request here has a body"));
        }
        Ok(request)
    }

    /// The value of a header by its name in small letters; the first one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether it was sent to this server by name, and by a page of this server or by no page.
    pub fn is_from_here(&self, port: u16) -> bool {
        let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let hosts: Vec<&str> = self.headers.iter().filter(|(n, _)| n == "host").map(|(_, v)| v.as_str()).collect();
        let origin = self.header("origin").map(|o| o.strip_prefix("http://").unwrap_or("").to_owned());
        let site = self.header("sec-fetch-site").is_none_or(|s| s == "same-origin" || s == "none");
        matches!(hosts[..], [host] if own.iter().any(|o| o == host)) && origin.is_none_or(|o| own.contains(&o)) && site
    }
}

/// Reads a head; None where the other side said nothing in time, or nothing at all.
pub fn read(stream: &mut TcpStream) -> Option<Result<Request, Refusal>> {
    let end = Instant::now() + HEAD_TIME;
    let (mut head, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        // the end may lie across two parts
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&part[..n]);
        if let Some(at) = head[from..].windows(4).position(|w| w == b"\r\n\r\n") {
            let text = std::str::from_utf8(&head[..from + at]).map_err(|_| Refusal(400, "this is no HTTP request"));
            return Some(text.and_then(Request::parse));
        }
        if head.len() > MOST_HEAD {
            return Some(Err(Refusal(431, "the address is too long; write a shorter formula")));
        }
    }
}

/// Headers of every answer: nothing from elsewhere, in no frame, kept nowhere.
const COMMON: &str = "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

/// Answers with a whole text.
pub fn answer(stream: &mut TcpStream, status: u16, kind: &str, body: &str) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIME))?;
    let head = format!(
        "HTTP/1.1 {status} {}\r\n{COMMON}Content-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        reason(status),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    // what is still unread must not turn the answer into a reset
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let mut rest = [0; 4096];
    for _ in 0..16 {
        if !matches!(stream.read(&mut rest), Ok(n) if n > 0) {
            break;
        }
    }
    Ok(())
}

/// Begins a stream of events.
pub fn begin_events(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIME))?;
    stream.set_nodelay(true)?;
    let head = format!("HTTP/1.1 200 OK\r\n{COMMON}Content-Type: text/event-stream; charset=utf-8\r\n\r\n");
    stream.write_all(head.as_bytes())
}

/// Sends an event. The write waits until the reader has taken what came before: a slow tab slows its own run and no other.
pub fn event(stream: &mut TcpStream, name: &str, data: &str) -> io::Result<()> {
    stream.write_all(format!("event: {name}\ndata: {data}\n\n").as_bytes())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Bad Request",
    }
}
