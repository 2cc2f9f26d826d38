//! A client that wants nothing but to be served: one connection, no parser, only the cursor at the end of each page.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use flate2::read::GzDecoder;

use crate::feed::{Feed, time};

/// What it was served.
pub(crate) struct Fetched {
    /// Rows a second.
    pub(crate) rate: f64,
    /// Megabytes a second, as they came.
    pub(crate) megabytes: f64,
}

/// Fetches every window of a feed, page by page.
pub(crate) fn fetch_all(feed: &Feed) -> Fetched {
    let (before, begun) = (feed.served(), Instant::now());
    let mut stream = TcpStream::connect(feed.server.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut bytes) = (Vec::new(), 0);
    for (from, to) in feed.windows() {
        let (from, to) = (time(from), time(to));
        let mut after = String::new();
        loop {
            let query = format!("limit=5000&created_at.gte={from}&created_at.lt={to}&order=asc{after}");
            let key = &feed.key;
            let request = format!(
                "GET /v1/compliance/activities?{query} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\naccept-encoding: gzip\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).unwrap();
            let (head, body) = receive(&mut stream, &mut buffer);
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            bytes += body.len();
            let tail = tail(&head, body);
            if tail.contains("\"has_more\":false") {
                break;
            }
            let (_, cursor) = tail.rsplit_once("\"last_id\":\"").unwrap();
            let cursor = cursor.split('"').next().unwrap();
            // Cursors are base64; what is more than letters and digits in it has a meaning in a query.
            let cursor =
                cursor.replace('%', "%25").replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
            after = format!("&after_id={cursor}");
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rows = feed.served() - before;
    assert_eq!(rows, feed.rows, "the bare client met every row once");
    Fetched { rate: rows as f64 / seconds, megabytes: bytes as f64 / 1e6 / seconds }
}

/// One answer: its head, and its body in the buffer.
fn receive<'b>(stream: &mut TcpStream, buffer: &'b mut Vec<u8>) -> (String, &'b [u8]) {
    buffer.clear();
    let mut piece = vec![0; 256 << 10];
    let mut more = |buffer: &mut Vec<u8>| {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "the simulator hung up");
        buffer.extend_from_slice(&piece[..length]);
    };
    let end = loop {
        let from = buffer.len().saturating_sub(3);
        more(buffer);
        if let Some(at) = buffer[from..].windows(4).position(|part| part == b"\r\n\r\n") {
            break from + at + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase().replacen("http/1.1", "HTTP/1.1", 1);
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    while buffer.len() < end + length {
        more(buffer);
    }
    (head, &buffer[end..])
}

/// The end of a page, in which the cursors are.
fn tail(head: &str, body: &[u8]) -> String {
    let end = |body: &[u8]| String::from_utf8_lossy(&body[body.len().saturating_sub(2_000)..]).into_owned();
    if !head.contains("content-encoding: gzip") {
        return end(body);
    }
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    end(&plain)
}
