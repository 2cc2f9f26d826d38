//! The little language of `message` and `subject` cells.
//!
//! `{field}` is a value, `{a|b}` the first that is present, `{a|'text'}` with a text as last resort,
//! `{flag?yes:no:absent}` a text by a boolean, `[ … ]` a group left out whole when a value in it is absent.

/// A parsed sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Piece>);

/// One piece of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Fixed text.
    Text(String),
    /// The first present value of these fields, else the fallback text.
    Value {
        /// Dotted paths, tried in order.
        fields: Vec<String>,
        /// Used when none is present.
        fallback: Option<String>,
    },
    /// A text chosen by a boolean field.
    Choice {
        /// Dotted path of the field.
        field: String,
        /// Text for `true`.
        yes: String,
        /// Text for `false`.
        no: String,
        /// Text when the field is absent or no boolean.
        absent: Option<String>,
    },
    /// Left out whole when a value in it is absent.
    Group(Vec<Piece>),
}

impl Template {
    /// Parses a cell.
    ///
    /// # Errors
    ///
    /// A sentence that says which bracket or brace is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut group: Option<Vec<Piece>> = None;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let piece = match first {
                '[' if group.is_some() => return Err("a [group] inside a [group]".to_owned()),
                '[' => {
                    group = Some(Vec::new());
                    rest = &rest[1..];
                    continue;
                }
                ']' => {
                    let Some(inner) = group.take() else { return Err("a ] without its [".to_owned()) };
                    if !inner.iter().any(|piece| !matches!(piece, Piece::Text(_))) {
                        return Err("a [group] without a {value}".to_owned());
                    }
                    rest = &rest[1..];
                    pieces.push(Piece::Group(inner));
                    continue;
                }
                '{' => {
                    let Some((inner, after)) = rest[1..].split_once('}') else {
                        return Err("a { without its }".to_owned());
                    };
                    rest = after;
                    parse_value(inner)?
                }
                '}' => return Err("a } without its {".to_owned()),
                _ => {
                    let end = rest.find(['[', ']', '{', '}']).unwrap_or(rest.len());
                    let (text, after) = rest.split_at(end);
                    rest = after;
                    Piece::Text(text.to_owned())
                }
            };
            group.as_mut().unwrap_or(&mut pieces).push(piece);
        }
        if group.is_some() {
            return Err("a [ without its ]".to_owned());
        }
        Ok(Self(pieces))
    }

    /// Calls `visit` with every field a value is taken from, and whether its absence is provided for
    /// (by a group, another alternative or a fallback text).
    pub fn visit_fields<'a>(&'a self, mut visit: impl FnMut(&'a [String], bool)) {
        fn walk<'a>(pieces: &'a [Piece], covered: bool, visit: &mut impl FnMut(&'a [String], bool)) {
            for piece in pieces {
                match piece {
                    Piece::Text(_) => {}
                    Piece::Value { fields, fallback } => visit(fields, covered || fallback.is_some()),
                    Piece::Choice { field, absent, .. } => {
                        visit(std::slice::from_ref(field), covered || absent.is_some());
                    }
                    Piece::Group(inner) => walk(inner, true, visit),
                }
            }
        }
        walk(&self.0, false, &mut visit);
    }
}

fn parse_value(inner: &str) -> Result<Piece, String> {
    let name_ok = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c))
    };
    if let Some((field, texts)) = inner.split_once('?') {
        let mut texts = texts.split(':').map(str::to_owned);
        let (Some(yes), Some(no), absent, None) = (texts.next(), texts.next(), texts.next(), texts.next())
        else {
            return Err(format!("{{{inner}}} must read {{field?yes:no}} or {{field?yes:no:absent}}"));
        };
        if !name_ok(field) {
            return Err(format!("`{field}` is no field name"));
        }
        return Ok(Piece::Choice { field: field.to_owned(), yes, no, absent });
    }
    let mut fields = Vec::new();
    let mut fallback = None;
    for name in inner.split('|') {
        if fallback.is_some() {
            return Err(format!("the text must come last in {{{inner}}}"));
        }
        if let Some(text) = name.strip_prefix('\'').and_then(|name| name.strip_suffix('\'')) {
            fallback = Some(text.to_owned());
        } else if name_ok(name) {
            fields.push(name.to_owned());
        } else {
            return Err(format!("`{name}` is no field name"));
        }
    }
    if fields.is_empty() {
        return Err(format!("{{{inner}}} names no field"));
    }
    Ok(Piece::Value { fields, fallback })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let template = Template::parse("put {a|b.c} on[ at {d}] as {e?x:y:z} for {f|'nobody'}").unwrap();
        assert_eq!(template.0.len(), 8);
        let mut seen = Vec::new();
        template.visit_fields(|fields, covered| seen.push((fields.join("|"), covered)));
        assert_eq!(
            seen,
            [
                ("a|b.c".to_owned(), false),
                ("d".to_owned(), true),
                ("e".to_owned(), true),
                ("f".to_owned(), true)
            ]
        );
    }

    #[test]
    fn refuses_what_cannot_be_read() {
        for bad in ["{", "}", "[", "]", "[x]", "[[{a}]]", "{}", "{A}", "{a?b}", "{a?b:c:d:e}", "{'x'|a}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
