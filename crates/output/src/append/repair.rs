//! What a crash left behind: how much of a file is whole, and what its last lines say.
//!
//! Owns the judgement. It reads only; cutting is the appender's business.
//!
//! The subtle thing: only what can be the beginning of a write of ours is taken for one. A file of another kind at the path
//! is a mistake in the configuration, and is refused rather than cut.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use model::fault::Fault;

use super::frames::{Framing, HEAD};
use super::{storage, unusable};

/// How much is read at a time.
const STEP: u64 = 64 * 1024;

/// The length of the file without an unfinished write at its end.
pub(super) fn whole_length(path: &Path, file: &File, framing: Framing) -> Result<u64, Fault> {
    let found = match framing {
        Framing::Plain => whole_lines(file),
        framing => frames(file, framing).and_then(|(frames, foreign)| {
            let whole = whole_frames(file, framing, &frames)?;
            Ok((!foreign).then_some(whole))
        }),
    };
    found.map_err(|error| storage(path, "reading back", &error))?.ok_or_else(|| {
        let what = match framing {
            Framing::Plain => "is there already and does not hold one JSON object a line",
            _ => "is there already and was not written by this program",
        };
        unusable(path, what, "move it away, or name another file")
    })
}

/// Where the last line ends; `None` if this is no file of lines.
fn whole_lines(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut byte = [0];
    let mut begins_like_ours =
        |at: u64| file.read_exact_at(&mut byte, at).map(|()| byte == *b"{" || byte == [0]);
    if length > 0 && !begins_like_ours(0)? {
        return Ok(None);
    }
    let mut buffer = vec![0; STEP as usize];
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let part = buffer.get_mut(..(end - start) as usize).unwrap_or_default();
        file.read_exact_at(part, start)?;
        if let Some(found) = part.iter().rposition(|byte| *byte == b'\n') {
            let whole = start + found as u64 + 1;
            let torn = whole == length || begins_like_ours(whole)?;
            return Ok(torn.then_some(whole));
        }
        end = start;
    }
    Ok(Some(0))
}

/// The whole frames of a file, as offset and length, and whether something follows them that cannot be ours.
fn frames(file: &File, framing: Framing) -> io::Result<(Vec<(u64, u64)>, bool)> {
    let length = file.metadata()?.len();
    let (mut found, mut at) = (Vec::new(), 0);
    let mut head = [0; HEAD];
    while at < length {
        let have = head.get_mut(..(length - at).min(HEAD as u64) as usize).unwrap_or_default();
        file.read_exact_at(have, at)?;
        let have = have.len();
        match framing.frame_length(&head).filter(|_| have == HEAD) {
            Some(frame) if at + frame <= length => {
                found.push((at, frame));
                at += frame;
            }
            Some(_) => return Ok((found, false)),
            None => {
                let torn = framing.may_be_torn(head.get(..have).unwrap_or_default());
                return Ok((found, !torn));
            }
        }
    }
    Ok((found, false))
}

/// Where the last frame ends that can be read: a loss of power may have kept the length of a file and lost its end.
fn whole_frames(file: &File, framing: Framing, frames: &[(u64, u64)]) -> io::Result<u64> {
    for (at, length) in frames.iter().rev() {
        if read_frame(file, framing, *at, *length)?.is_some() {
            return Ok(at + length);
        }
    }
    Ok(0)
}

fn read_frame(file: &File, framing: Framing, at: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut frame = vec![0; length as usize];
    file.read_exact_at(&mut frame, at)?;
    Ok(framing.decode(&frame).ok())
}

/// Shows the last lines of a file, `window` bytes of them or a little more, and says how many bytes they were.
pub(super) fn last_lines(
    path: &Path,
    framing: Framing,
    window: u64,
    each: &mut dyn FnMut(&[u8]),
) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut show = |lines: &[u8]| lines.split(|byte| *byte == b'\n').for_each(&mut *each);
    let mut read = 0;
    if framing != Framing::Plain {
        for (at, length) in frames(&file, framing)?.0.into_iter().rev() {
            if read >= window {
                break;
            }
            let content = read_frame(&file, framing, at, length)?.unwrap_or_default();
            show(&content);
            read += content.len() as u64;
        }
        return Ok(read);
    }
    let length = file.metadata()?.len();
    let start = length.saturating_sub(window);
    file.seek(SeekFrom::Start(start))?;
    let mut lines = BufReader::with_capacity(STEP as usize, file).take(length - start);
    let mut line = Vec::new();
    if start > 0 {
        // It may begin in the middle.
        lines.read_until(b'\n', &mut line)?;
        line.clear();
    }
    while lines.read_until(b'\n', &mut line)? > 0 {
        show(&line);
        line.clear();
    }
    Ok(length - start)
}
