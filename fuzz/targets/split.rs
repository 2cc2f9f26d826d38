//! Any bytes through the splitter: the records depend on the bytes alone, not on how they arrive.
//!
//! The first byte chooses how the stream is cut into reads. Checked for every input: the spans are in order and do not
//! overlap, each holds the bytes that stand at its offset, a record begins with a brace, and one big read gives what
//! many small ones give.
#![no_main]

use std::io::{self, Read};

use anthropic_ecs_ingest::file::{Block, Kind, Options, Reason, Splitter, split_page};
use libfuzzer_sys::fuzz_target;

type Found = Vec<(u64, Vec<u8>, Kind)>;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, stream)) = input.split_first() else { return };
    // Small limits, so that long records and full blocks are met within a few bytes.
    let options = Options { block_bytes: 64, max_record_bytes: 256 };
    let whole = split(stream, stream.len().max(1), options);
    let pieces = split(stream, usize::from(cut % 32) + 1, options);
    assert_eq!(whole, pieces, "the records depend on the reads");

    let mut at = 0;
    for (offset, bytes, kind) in whole.iter().flatten() {
        let start = usize::try_from(*offset).expect("an offset within the input");
        let end = start + bytes.len();
        assert_eq!(stream.get(start..end), Some(&bytes[..]), "a span does not hold the bytes at its offset");
        // The head of what turned out to be no page comes late: its records are gone by then.
        if *kind != Kind::Malformed(Reason::NotAPage) {
            assert!(start >= at, "spans overlap or are out of order");
            at = end;
        }
        match kind {
            Kind::Record => {
                assert_eq!(bytes.first(), Some(&b'{'));
                check_page(bytes);
            }
            Kind::TooLarge { length } => assert!(*length > bytes.len() as u64 || *length > 256),
            Kind::Malformed(_) => {}
        }
    }
});

fn check_page(record: &[u8]) {
    let mut at = 0;
    for span in split_page(record).into_iter().flatten() {
        assert!(span.start <= span.end && span.end as usize <= record.len());
        if span.kind != Kind::Malformed(Reason::NotAPage) {
            assert!(span.start >= at, "spans overlap or are out of order");
            at = span.end;
        }
    }
}

/// What was found before the stream ended or could not be read.
fn split(stream: &[u8], step: usize, options: Options) -> Option<Found> {
    let mut splitter = Splitter::new(Steps { stream, step }, "fuzz", 0, options);
    let mut block = Block::new();
    let mut found = Vec::new();
    loop {
        match splitter.next_block(&mut block) {
            Ok(true) => {
                for span in block.spans() {
                    found.push((span.offset, block.bytes(span).to_vec(), span.kind));
                }
            }
            Ok(false) => return Some(found),
            Err(_) => return None,
        }
    }
}

/// A stream that gives a few bytes at a time.
struct Steps<'a> {
    stream: &'a [u8],
    step: usize,
}

impl Read for Steps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.step.min(self.stream.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.stream[..count]);
        self.stream = &self.stream[count..];
        Ok(count)
    }
}
