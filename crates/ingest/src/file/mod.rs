//! Files and streams into raw records.
//!
//! Owns: what a PATH stands for ([`expand`]), undoing compression, and finding where records begin and end
//! ([`Records`], [`Splitter`]). Must not know: what a record means. Whether the bytes of a record are valid JSON
//! is the mapper's verdict; here only braces, strings and line ends count.
//!
//! The one subtle thing: the contents decide, never the name, and never how the bytes happened to arrive. The same
//! input gives the same records at the same offsets whatever the size of the reads, so every decision is made at a
//! position in the input, never at the end of a buffer.
//!
//! What comes out, in input order:
//!
//! - [`Kind::Record`]: bytes that begin with `{`. In line mode a whole line, unchecked; elsewhere one balanced object.
//! - [`Kind::Malformed`]: bytes that belong to no record, with the reason. May be empty at the end of a cut input.
//! - [`Kind::TooLarge`]: the first 64 KiB of something longer than [`Options::max_record_bytes`].
//!
//! Every byte is in exactly one of these, or is white space, a comma, a bracket around records, a byte order mark, or
//! the frame of an API page.
//!
//! ```no_run
//! use anthropic_ecs_ingest::file::{Block, Kind, Options, Records, expand, split_page};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let found = expand(&["exports/", "-"])?;
//! let mut records = Records::new(found.inputs, Options::default());
//! let mut block = Block::new();
//! while records.next_block(&mut block)? {
//!     for span in block.spans() {
//!         let bytes = block.bytes(span);
//!         match span.kind {
//!             // A line may itself be a page: when the mapper says it is no activity, ask `split_page(bytes)`.
//!             Kind::Record => drop(split_page(bytes)),
//!             Kind::Malformed(reason) => eprintln!("{}: byte {}: {reason}", records.name(block.input()), span.offset),
//!             Kind::TooLarge { length } => eprintln!("{length} bytes in one record"),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod block;
mod decompress;
mod error;
mod gzip;
mod machine;
mod open;
mod page;
mod reader;
mod scan;
mod source;
mod split;
mod zstandard;

pub use block::{Block, Kind, Options, Reason, Span};
pub use error::{ExpandError, ReadError};
pub use open::{Expansion, Input, expand};
pub use page::split_page;
pub use reader::{Progress, Records};
pub use source::{FileConfig, FileSettings, FileSource};
pub use split::Splitter;
