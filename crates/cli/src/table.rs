//! Plain tables for people: aligned columns, cells of several lines, colour only in a terminal.
//!
//! Owns the layout and the decision whether to colour. Must not know what is in a cell; whatever it is, no character of it acts
//! upon the terminal.

use std::io::{self, IsTerminal, Write};

use crate::terminal::shown;

/// How text is emphasised; not at all unless standard output is a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    colour: bool,
    /// Columns of the terminal; `None` when there is none.
    pub(crate) width: Option<usize>,
}

impl Style {
    /// What suits standard output.
    pub(crate) fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: terminal && !plain, width: width.filter(|_| terminal) }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What is read only when looked for.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A cell: lines of text, each dimmed or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell(Vec<(String, bool)>);

impl Cell {
    /// Adds a line.
    pub(crate) fn push(&mut self, line: impl Into<String>) {
        self.0.push((shown(&line.into()), false));
    }

    /// Adds a line that is not to catch the eye.
    pub(crate) fn push_dim(&mut self, line: impl Into<String>) {
        self.0.push((shown(&line.into()), true));
    }

    /// How many lines it has.
    pub(crate) fn height(&self) -> usize {
        self.0.len()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(vec![(shown(&text.into()), false)])
    }
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Columns it takes when written.
    pub(crate) fn width(&self) -> usize {
        self.widths().iter().map(|width| width + 2).sum::<usize>().saturating_sub(2)
    }

    fn widths(&self) -> Vec<usize> {
        let column = |(at, header): (usize, &&str)| {
            let lines = self.rows.iter().filter_map(|row| row.get(at)).flat_map(|cell| &cell.0);
            lines.map(|(line, _)| line.chars().count()).chain([header.len()]).max().unwrap_or_default()
        };
        self.headers.iter().enumerate().map(column).collect()
    }

    /// Writes it, each line behind `indent`.
    pub(crate) fn write(&self, out: &mut impl Write, style: Style, indent: &str) -> io::Result<()> {
        let widths = self.widths();
        let write_line = |out: &mut dyn Write, texts: &[(&str, bool, bool)]| {
            let mut line = indent.to_owned();
            for (at, (text, bold, dim)) in texts.iter().enumerate() {
                let shown = match (bold, dim) {
                    (true, _) => style.bold(text),
                    (_, true) => style.dim(text),
                    _ => (*text).to_owned(),
                };
                line.push_str(&shown);
                let width = widths.get(at).copied().unwrap_or_default();
                line.push_str(&" ".repeat(width.saturating_sub(text.chars().count()) + 2));
            }
            writeln!(out, "{}", line.trim_end())
        };
        let headers: Vec<_> = self.headers.iter().map(|header| (*header, true, false)).collect();
        write_line(out, &headers)?;
        for row in &self.rows {
            for at in 0..row.iter().map(Cell::height).max().unwrap_or_default() {
                let line = |cell: &'_ Cell| {
                    cell.0.get(at).map(|(text, dim)| (text.clone(), *dim)).unwrap_or_default()
                };
                let texts: Vec<(String, bool)> = row.iter().map(line).collect();
                let texts: Vec<_> = texts.iter().map(|(text, dim)| (text.as_str(), false, *dim)).collect();
                write_line(out, &texts)?;
            }
        }
        Ok(())
    }
}

/// A number with commas between groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let mut table = Table::new(&["A", "B"]);
        let mut tall = Cell::from("x");
        tall.push_dim("yy");
        table.row(vec!["é".into(), tall]);
        table.row(vec!["long".into(), "".into()]);
        let mut out = Vec::new();
        table.write(&mut out, Style::default(), "  ").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  A     B\n  é     x\n        yy\n  long\n");
        assert_eq!(table.width(), 8);
    }
    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
