//! A request as the bulk API wants it: one line that names a document, one line that is the document.
//!
//! Each document is copied once, into the body or straight through the compressor; it is neither parsed nor changed.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::config::Compression;
use crate::document::{Document, Request};

/// The longest `_id` that Elasticsearch and OpenSearch take, in bytes.
const LONGEST_ID: usize = 512;

/// The line before a document, apart from the id.
const OPEN: &[u8] = b"{\"create\":{\"_id\":";
const CLOSE: &[u8] = b"}}\n";

/// Level 1: audit events shrink to about a seventh at any level, and higher ones cost several times as much.
const LEVEL: flate2::Compression = flate2::Compression::fast();

/// Puts the body together.
///
/// # Errors
///
/// None that is known: writing to memory does not fail. The types of the compressor say otherwise.
pub(super) fn body(request: &Request, compression: Compression) -> io::Result<Bytes> {
    let room = request.bytes() + request.len() * 64;
    match compression {
        Compression::None => {
            let mut body = Vec::with_capacity(room);
            write(request, &mut body)?;
            Ok(body.into())
        }
        Compression::Gzip => {
            let mut body = GzEncoder::new(Vec::with_capacity(room / 6), LEVEL);
            write(request, &mut body)?;
            Ok(body.finish()?.into())
        }
    }
}

fn write(request: &Request, out: &mut impl Write) -> io::Result<()> {
    for document in request.documents() {
        out.write_all(OPEN)?;
        serde_json::to_writer(&mut *out, &*id(&document))?;
        out.write_all(CLOSE)?;
        out.write_all(document.line)?;
    }
    Ok(())
}

/// What a document is stored under. It must be the same for the same document every time, since that is what makes a
/// repetition harmless: a name that cannot be used is replaced by its hash, and a missing one by the document's.
pub(super) fn id<'d>(document: &Document<'d>) -> Cow<'d, str> {
    match document.id.len() {
        0 => hash(document.body()).into(),
        1..=LONGEST_ID => document.id.into(),
        _ => hash(document.id.as_bytes()).into(),
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a text does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use super::*;
    use crate::document::DocumentsBuilder;

    fn request(documents: &[(&str, &str)], which: &[u32]) -> Request {
        let mut builder = DocumentsBuilder::default();
        for (id, body) in documents {
            builder.lines.extend_from_slice(body.as_bytes());
            builder.push(id, "", None);
        }
        let mut request = Request::default();
        request.add(&Arc::new(builder.finish()), which.to_vec());
        request
    }

    #[test]
    fn lines_name_the_chosen_documents_and_hold_them_unchanged() {
        let request = request(&[("a", r#"{"x":1}"#), ("b\"\\\n", r#"{"y": 2 }"#), ("c", "{}")], &[1, 2]);
        let body = body(&request, Compression::None).unwrap();
        let expected = concat!(
            "{\"create\":{\"_id\":\"b\\\"\\\\\\n\"}}\n{\"y\": 2 }\n",
            "{\"create\":{\"_id\":\"c\"}}\n{}\n"
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }

    #[test]
    fn a_compressed_body_says_the_same() {
        let request = request(&[("a", r#"{"x":1}"#), ("b", "{}")], &[0, 1]);
        let mut text = Vec::new();
        let gzip = body(&request, Compression::Gzip).unwrap();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, body(&request, Compression::None).unwrap());
    }

    #[test]
    fn ids_that_cannot_be_used_become_hashes_that_tell_documents_apart() {
        let (longest, longer) = ("é".repeat(256), "é".repeat(257));
        let documents = [(longest.as_str(), "{}"), (&longer, "{}"), ("", r#"{"a":1}"#), ("", r#"{"a":2}"#)];
        let request = request(&documents, &[0, 1, 2, 3]);
        let ids: Vec<_> = request.documents().map(|document| id(&document).into_owned()).collect();
        assert_eq!(ids[0], longest);
        assert_eq!(ids[2], "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862");
        assert!(ids[1..].iter().all(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert!(ids[1] != ids[2] && ids[2] != ids[3]);
    }
}
