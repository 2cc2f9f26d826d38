//! The parser for records that simd-json refuses or would change.
//!
//! It accepts exactly what RFC 8259 accepts, at any depth (no recursion), keeps the text of every
//! number, and turns a lone surrogate escape into U+FFFD, saying so: JSON allows such an escape, UTF-8
//! cannot hold it.

use simd_json::{Node, StaticNode};

use crate::record::NotJson;

/// A parsed record whose nodes can be borrowed.
pub(crate) struct Exact<'a> {
    raw: &'a [u8],
    tokens: Vec<Token>,
    strings: String,
    numbers: Vec<(u32, Span)>,
    repaired: bool,
}

type Span = (u32, u32);

enum Token {
    Text(Span),
    Number(f64),
    Bool(bool),
    Null,
    Object { len: usize, count: usize },
    Array { len: usize, count: usize },
}

impl<'a> Exact<'a> {
    /// The nodes, laid out as simd-json's tape is.
    pub(crate) fn nodes(&self) -> Vec<Node<'_>> {
        let node = |token: &Token| match *token {
            Token::Text((start, end)) => {
                Node::String(self.strings.get(start as usize..end as usize).unwrap_or_default())
            }
            Token::Number(value) => Node::Static(StaticNode::F64(value)),
            Token::Bool(value) => Node::Static(StaticNode::Bool(value)),
            Token::Null => Node::Static(StaticNode::Null),
            Token::Object { len, count } => Node::Object { len, count },
            Token::Array { len, count } => Node::Array { len, count },
        };
        self.tokens.iter().map(node).collect()
    }

    /// The text of the number at a node.
    pub(crate) fn number_text(&self, node: u32) -> Option<&'a str> {
        let found = self.numbers.binary_search_by_key(&node, |(at, _)| *at).ok()?;
        let (_, (start, end)) = self.numbers.get(found)?;
        std::str::from_utf8(self.raw.get(*start as usize..*end as usize)?).ok()
    }

    /// Whether a lone surrogate was replaced.
    pub(crate) fn is_repaired(&self) -> bool {
        self.repaired
    }
}

/// Parses one JSON value and nothing behind it but white space.
pub(crate) fn parse(raw: &[u8]) -> Result<Exact<'_>, NotJson> {
    if let Err(error) = std::str::from_utf8(raw) {
        return Err(NotJson { expected: "UTF-8 text", offset: error.valid_up_to() });
    }
    if u32::try_from(raw.len()).is_err() {
        return Err(NotJson { expected: "a record of less than 4 GiB", offset: 0 });
    }
    let mut reader = Reader {
        raw,
        at: 0,
        exact: Exact {
            raw,
            tokens: Vec::new(),
            strings: String::new(),
            numbers: Vec::new(),
            repaired: false,
        },
    };
    reader.document()?;
    Ok(reader.exact)
}

struct Reader<'a> {
    raw: &'a [u8],
    at: usize,
    exact: Exact<'a>,
}

/// An open container: the index of its token and what it holds so far.
struct Open {
    token: usize,
    len: usize,
    object: bool,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), NotJson> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            // One value, or the start of one.
            self.skip_space();
            if let Some(container) = self.value()? {
                let empty = if container.object { b'}' } else { b']' };
                self.skip_space();
                if self.peek() == Some(empty) {
                    self.at += 1;
                } else {
                    if container.object {
                        self.key()?;
                    }
                    open.push(container);
                    continue;
                }
            }
            // Close what ends here; go on with the next item or member.
            loop {
                self.skip_space();
                let Some(container) = open.last_mut() else {
                    return if self.at == self.raw.len() {
                        Ok(())
                    } else {
                        self.fail("the end of the record")
                    };
                };
                container.len += 1;
                match (self.peek(), container.object) {
                    (Some(b','), object) => {
                        self.at += 1;
                        if object {
                            self.skip_space();
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        let Some(Open { token, len, object }) = open.pop() else { break };
                        let count = self.exact.tokens.len() - token - 1;
                        let closed =
                            if object { Token::Object { len, count } } else { Token::Array { len, count } };
                        if let Some(place) = self.exact.tokens.get_mut(token) {
                            *place = closed;
                        }
                    }
                    (_, true) => return self.fail("`,` or `}`"),
                    (_, false) => return self.fail("`,` or `]`"),
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), NotJson> {
        if self.peek() != Some(b'"') {
            return self.fail("a key in double quotes");
        }
        self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.fail("`:`");
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a scalar whole, or opens a container.
    fn value(&mut self) -> Result<Option<Open>, NotJson> {
        let token = self.exact.tokens.len();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.exact.tokens.push(Token::Object { len: 0, count: 0 });
                return Ok(Some(Open { token, len: 0, object: true }));
            }
            Some(b'[') => {
                self.at += 1;
                self.exact.tokens.push(Token::Array { len: 0, count: 0 });
                return Ok(Some(Open { token, len: 0, object: false }));
            }
            Some(b'"') => self.string()?,
            Some(b't') => self.word(b"true", Token::Bool(true))?,
            Some(b'f') => self.word(b"false", Token::Bool(false))?,
            Some(b'n') => self.word(b"null", Token::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return self.fail("a value"),
        }
        Ok(None)
    }

    fn word(&mut self, word: &[u8], token: Token) -> Result<(), NotJson> {
        if !self.raw[self.at..].starts_with(word) {
            return self.fail("true, false or null");
        }
        self.at += word.len();
        self.exact.tokens.push(token);
        Ok(())
    }

    fn number(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("a digit"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.demand_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.demand_digits()?;
        }
        let text = std::str::from_utf8(&self.raw[start..self.at]).unwrap_or_default();
        self.exact.numbers.push((self.exact.tokens.len() as u32, (start as u32, self.at as u32)));
        self.exact.tokens.push(Token::Number(text.parse().unwrap_or(f64::NAN)));
        Ok(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    fn demand_digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        self.digits();
        if self.at == start { self.fail("a digit") } else { Ok(()) }
    }

    fn string(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        let begin = self.exact.strings.len() as u32;
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            // The whole record is UTF-8 and both ends of the run are ASCII, so the run is UTF-8.
            self.exact.strings.push_str(std::str::from_utf8(&self.raw[start..self.at]).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.exact.tokens.push(Token::Text((begin, self.exact.strings.len() as u32)));
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fail("an escape instead of a control character"),
                None => return self.fail("the closing `\"`"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        let Some(&kind) = self.raw.get(self.at + 1) else { return self.fail("an escape") };
        let plain = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return self.fail("an escape"),
        };
        self.at += 2;
        self.exact.strings.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<(), NotJson> {
        let first = self.hex4()?;
        let decoded = match first {
            0xD800..=0xDBFF if self.raw[self.at..].starts_with(b"\\u") => {
                let behind_first = self.at;
                let second = self.hex4()?;
                if (0xDC00..=0xDFFF).contains(&second) {
                    char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
                } else {
                    self.at = behind_first;
                    None
                }
            }
            other => char::from_u32(other),
        };
        self.exact.repaired |= decoded.is_none();
        self.exact.strings.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(())
    }

    /// Reads `\uXXXX`.
    fn hex4(&mut self) -> Result<u32, NotJson> {
        let mut value = 0;
        for at in self.at + 2..self.at + 6 {
            match self.raw.get(at).and_then(|byte| char::from(*byte).to_digit(16)) {
                Some(digit) => value = value * 16 + digit,
                None => {
                    self.at = at.min(self.raw.len());
                    return self.fail("four hexadecimal digits");
                }
            }
        }
        self.at += 6;
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.raw.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, NotJson> {
        Err(NotJson { expected, offset: self.at })
    }
}
