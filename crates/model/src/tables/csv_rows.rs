//! Reading a CSV table row by row, with line numbers and the order checked.

use super::{Problem, Source};

/// One row: its line and its cells, as many as the header has.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) cells: csv::StringRecord,
}

impl Row {
    /// The trimmed text of a column.
    pub(super) fn cell(&self, column: usize) -> &str {
        self.cells.get(column).unwrap_or_default().trim()
    }

    /// The words of a column.
    pub(super) fn words(&self, column: usize) -> Vec<String> {
        self.cell(column).split_whitespace().map(str::to_owned).collect()
    }
}

/// Reads `source`, demands `header`, and turns each row into a `T` with `read`.
pub(super) fn read<T>(
    source: Source<'_>,
    header: &[&str],
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&Row) -> Result<T, String>,
) -> Vec<T> {
    let mut problem = |line, message| problems.push(Problem { file: source.name.to_owned(), line, message });
    let text = source.text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let cells = match record {
            Ok(cells) => cells,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problem(line, format!("not readable as CSV: {error}"));
                continue;
            }
        };
        let line = cells.position().map_or(0, csv::Position::line);
        if index == 0 {
            if !cells.iter().map(str::trim).eq(header.iter().copied()) {
                problem(line, format!("the header must be `{}`", header.join(",")));
                return rows;
            }
            continue;
        }
        if cells.len() != header.len() {
            problem(line, format!("{} cells, expected {} ({})", cells.len(), header.len(), header.join(",")));
            continue;
        }
        match read(&Row { line, cells }) {
            Ok(row) => rows.push(row),
            Err(message) => problem(line, message),
        }
    }
    rows
}

/// Reports rows that are out of order or have the key of the row before.
pub(super) fn demand_order<T, K: Ord + std::fmt::Debug>(
    file: &str,
    rows: &[T],
    problems: &mut Vec<Problem>,
    key: impl Fn(&T) -> (K, u64),
) {
    for pair in rows.windows(2) {
        let [before, after] = pair else { continue };
        let ((before, _), (after, line)) = (key(before), key(after));
        let message = match before.cmp(&after) {
            std::cmp::Ordering::Less => continue,
            std::cmp::Ordering::Equal => format!("a second row for {after:?}"),
            std::cmp::Ordering::Greater => format!("not sorted: {after:?} comes after {before:?}"),
        };
        problems.push(Problem { file: file.to_owned(), line, message });
    }
}
