//! Files, documents and artifacts: their names, types and bytes.
//!
//! Owns what is in a file; the bytes follow from its id, so that what is downloaded fits what a list said of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::words::{chance_of, said};
use crate::clock::{Micros, Precision, rfc3339};
use crate::vocabulary::FILES;

/// A file as it can be downloaded.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) made: Micros,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    /// The file with that id; one without a name gets one.
    pub(crate) fn new(seed: u64, id: &str, name: Option<&str>, made: Micros) -> Self {
        let mut random = chance_of(seed, "file", id);
        let usual = *random.pick(FILES);
        let mut text = format!("{id}\n");
        for _ in 0..random.range(1, 60) {
            text.push_str(&said(&mut random));
            text.push('\n');
        }
        Self { id: id.to_owned(), name: name.unwrap_or(usual).to_owned(), made, bytes: text.into_bytes() }
    }

    pub(crate) fn mime_type(&self) -> &'static str {
        let extension = self.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "pdf" => "application/pdf",
            "csv" => "text/csv",
            "md" => "text/markdown",
            "txt" => "text/plain",
            "png" => "image/png",
            "gz" => "application/gzip",
            "eml" => "message/rfc822",
            "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            _ => "application/octet-stream",
        }
    }

    /// The MD5 of its bytes, in hex as metadata shows it.
    pub(crate) fn md5(&self) -> String {
        Md5::digest(&self.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same in base64, as the header shows it.
    pub(crate) fn content_md5(&self) -> String {
        STANDARD.encode(Md5::digest(&self.bytes))
    }

    /// `Content-Disposition`, with the name as RFC 5987 wants it.
    pub(crate) fn disposition(&self) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let name: String = self
            .name
            .bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect();
        format!("attachment; filename*=utf-8''{name}")
    }

    /// What lists and metadata say of it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "filename": self.name,
            "mime_type": self.mime_type(),
            "size_bytes": self.bytes.len(),
            "md5": self.md5(),
            "created_at": rfc3339(self.made, Precision::Micros, true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_metadata_say() {
        let file = File::new(1, "claude_file_01a", Some("Übergabe 1.pdf"), 0);
        assert_eq!(file.json()["size_bytes"], file.bytes.len());
        assert_eq!(file.disposition(), "attachment; filename*=utf-8''%C3%9Cbergabe%201.pdf");
        assert_eq!(file.md5().len(), 32);
        let other = File { bytes: b"abc".to_vec(), ..file };
        assert_eq!(other.md5(), "900150983cd24fb0d6963f7d28e17f72", "RFC 1321");
        assert_eq!(other.content_md5(), "kAFQmDzST7DWlj99KOF/cg==");
    }
}
