//! Compression in frames that a restart can find the ends of.
//!
//! Owns how a write becomes one gzip member or one zstd frame. Every write is a frame of its own, so that what was written is
//! readable whatever happens to the next one. Each frame says its own length at its beginning (gzip: an extra field, RFC 1952
//! section 2.3.1.1; zstd: a skippable frame before it, RFC 8878 section 3.1.2), which other programs pass over; so a restart
//! finds the last whole frame by a walk from head to head, without decompressing anything.

use std::io::{self, Read, Write};

use bytes::Bytes;

/// How lines are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As they are.
    Plain,
    /// Gzip members.
    Gzip,
    /// Zstandard frames with a checksum.
    Zstd,
}

/// How many bytes of a frame tell its length.
pub(super) const HEAD: usize = 20;

/// What begins every gzip member of ours: no name, no time, an extra field of 8 bytes of which 4 are the length.
const GZIP: &[u8; 16] = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x08\0AE\x04\0";
/// What begins every zstd frame of ours: a skippable frame with 12 bytes, of which 4 are the length.
const ZSTD: &[u8; 16] = b"\x5e\x2a\x4d\x18\x0c\0\0\0anthecs1";

/// The level of gzip: beyond it there is little to gain.
const GZIP_LEVEL: u32 = 5;
const ZSTD_LEVEL: i32 = 3;

/// The most a frame of ours may decompress to when it is read back.
const MOST_CONTENT: u64 = 1 << 30;

impl Framing {
    /// Appends chunks as one frame.
    pub(super) fn encode(self, chunks: &[Bytes], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        match self {
            Self::Plain => chunks.iter().for_each(|chunk| out.extend_from_slice(chunk)),
            Self::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let extra = [b'A', b'E', 4, 0, 0, 0, 0, 0];
                let mut encoder = flate2::GzBuilder::new().extra(extra).write(&mut *out, level);
                chunks.iter().try_for_each(|chunk| encoder.write_all(chunk))?;
                encoder.finish()?;
            }
            Self::Zstd => {
                out.extend_from_slice(ZSTD);
                out.extend_from_slice(&[0; 4]);
                let mut encoder = zstd::stream::Encoder::new(&mut *out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                chunks.iter().try_for_each(|chunk| encoder.write_all(chunk))?;
                encoder.finish()?;
            }
        }
        if self != Self::Plain {
            let length = u32::try_from(out.len() - start).map_err(|_| io::ErrorKind::FileTooLarge)?;
            if let Some(place) = out.get_mut(start + HEAD - 4..start + HEAD) {
                place.copy_from_slice(&length.to_le_bytes());
            }
        }
        Ok(())
    }

    /// What every frame begins with.
    fn mark(self) -> &'static [u8] {
        match self {
            Self::Plain => b"{",
            Self::Gzip => GZIP,
            Self::Zstd => ZSTD,
        }
    }

    /// How long the frame is that begins with `head`.
    pub(super) fn frame_length(self, head: &[u8; HEAD]) -> Option<u64> {
        let length = u64::from(u32::from_le_bytes([head[16], head[17], head[18], head[19]]));
        Some(length).filter(|length| head.starts_with(self.mark()) && *length > HEAD as u64)
    }

    /// Whether a frame of ours, cut short, could begin like this: by what came to the disk, and then by the zeros that a loss
    /// of power leaves where data should be.
    pub(super) fn may_be_torn(self, head: &[u8]) -> bool {
        let mark = self.mark();
        let written = head.iter().zip(mark).take_while(|(found, ours)| found == ours).count();
        written == mark.len() || head.iter().skip(written).all(|byte| *byte == 0)
    }

    /// The content of a whole frame.
    pub(super) fn decode(self, frame: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        match self {
            Self::Plain => content.extend_from_slice(frame),
            Self::Gzip => {
                flate2::read::GzDecoder::new(frame).take(MOST_CONTENT).read_to_end(&mut content)?;
            }
            Self::Zstd => {
                let inner = frame.get(HEAD..).unwrap_or_default();
                zstd::stream::Decoder::new(inner)?.take(MOST_CONTENT).read_to_end(&mut content)?;
            }
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_reader_reads_frames_one_after_the_other() {
        for framing in [Framing::Gzip, Framing::Zstd] {
            let mut out = Vec::new();
            for lines in ["{\"a\":1}\n", "{\"b\":2}\n{\"c\":3}\n"] {
                let start = out.len();
                framing.encode(&[Bytes::from_static(lines.as_bytes())], &mut out).unwrap();
                let head = out[start..start + HEAD].try_into().unwrap();
                assert_eq!(framing.frame_length(head), Some((out.len() - start) as u64));
                assert_eq!(framing.decode(&out[start..]).unwrap(), lines.as_bytes());
            }
            let mut read = String::new();
            match framing {
                Framing::Zstd => zstd::stream::Decoder::new(&out[..]).unwrap().read_to_string(&mut read),
                _ => flate2::read::MultiGzDecoder::new(&out[..]).read_to_string(&mut read),
            }
            .unwrap();
            assert_eq!(read, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
        }
    }

    #[test]
    fn foreign_frames_are_not_ours() {
        let mut foreign = Vec::new();
        flate2::write::GzEncoder::new(&mut foreign, flate2::Compression::fast()).write_all(b"x").unwrap();
        foreign.resize(HEAD, 0);
        let head: &[u8; HEAD] = foreign[..HEAD].try_into().unwrap();
        assert_eq!(Framing::Gzip.frame_length(head), None);
        assert!(!Framing::Gzip.may_be_torn(head));
    }
}
