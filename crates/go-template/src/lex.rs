//! Cuts a template into texts and the words between its delimiters.

use crate::error::TemplateError;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Text(String),
    Open,
    Close,
    Word(String),
    /// `.a`, one for each step.
    Field(String),
    /// `$` or `$x`.
    Variable(String),
    Dot,
    Quoted(String),
    Number(String),
    Character(i64),
    Pipe,
    LeftParenthesis,
    RightParenthesis,
    Comma,
    Declare,
    Assign,
    Space,
}

/// A token and the line it starts on.
pub(crate) type Placed = (Token, usize);

struct Lexer<'a> {
    name: &'a str,
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Placed>,
}

/// Cuts `text` into tokens; `left` and `right` are the delimiters.
pub(crate) fn lex(
    name: &str,
    text: &str,
    left: &str,
    right: &str,
) -> Result<Vec<Placed>, TemplateError> {
    let mut lexer = Lexer {
        name,
        text,
        at: 0,
        line: 1,
        tokens: Vec::new(),
    };
    let mut trim_next = false;
    loop {
        let rest = &lexer.text[lexer.at..];
        let Some(found) = rest.find(left) else {
            lexer.push_text(rest.len(), trim_next, false);
            return Ok(lexer.tokens);
        };
        let inside = &rest[found + left.len()..];
        let trims = inside.starts_with('-') && inside[1..].starts_with(is_space);
        lexer.push_text(found, trim_next, trims);
        lexer.skip(left.len() + usize::from(trims));
        trim_next = lexer.inside(right)?;
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

impl<'a> Lexer<'a> {
    fn error(&self, what: impl Into<String>) -> TemplateError {
        TemplateError {
            template: self.name.to_owned(),
            line: self.line,
            what: what.into(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.text[self.at..self.at + bytes].matches('\n').count();
        self.at += bytes;
    }

    fn push(&mut self, token: Token, bytes: usize) {
        self.tokens.push((token, self.line));
        self.skip(bytes);
    }

    fn push_text(&mut self, bytes: usize, trim_start: bool, trim_end: bool) {
        let mut text = &self.rest()[..bytes];
        if trim_start {
            text = text.trim_start_matches(is_space);
        }
        if trim_end {
            text = text.trim_end_matches(is_space);
        }
        let line = self.line;
        if !text.is_empty() {
            self.tokens.push((Token::Text(text.to_owned()), line));
        }
        self.skip(bytes);
    }

    /// Reads up to the right delimiter; returns whether it trims what follows.
    fn inside(&mut self, right: &str) -> Result<bool, TemplateError> {
        let spaces = self.rest().len() - self.rest().trim_start_matches(is_space).len();
        if self.rest()[spaces..].starts_with("/*") {
            return self.comment(spaces, right);
        }
        self.push(Token::Open, 0);
        let mut depth = 0_usize;
        loop {
            if let Some(trims) = self.close(right) {
                if depth > 0 {
                    return Err(self.error("unclosed left paren"));
                }
                return Ok(trims);
            }
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(self.error("unclosed action"));
            };
            match first {
                c if is_space(c) => {
                    let length = rest.len() - rest.trim_start_matches(is_space).len();
                    self.push(Token::Space, length);
                }
                '|' => self.push(Token::Pipe, 1),
                ',' => self.push(Token::Comma, 1),
                '(' => {
                    depth += 1;
                    self.push(Token::LeftParenthesis, 1);
                }
                ')' => {
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| self.error("unexpected right paren"))?;
                    self.push(Token::RightParenthesis, 1);
                }
                ':' if rest.starts_with(":=") => self.push(Token::Declare, 2),
                '=' => self.push(Token::Assign, 1),
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '\'' => self.character()?,
                '$' => {
                    let length = 1 + word_length(&rest[1..]);
                    self.push(Token::Variable(rest[..length].to_owned()), length);
                }
                '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    let length = word_length(&rest[1..]);
                    if length == 0 {
                        self.push(Token::Dot, 1);
                    } else {
                        self.push(Token::Field(rest[1..=length].to_owned()), 1 + length);
                    }
                }
                '+' | '-' | '.' | '0'..='9' => self.number()?,
                c if c == '_' || c.is_alphabetic() => {
                    let length = word_length(rest);
                    self.push(Token::Word(rest[..length].to_owned()), length);
                }
                other => {
                    return Err(self.error(format!("unexpected `{other}` in an action")));
                }
            }
        }
    }

    /// Takes the right delimiter, if it is next.
    fn close(&mut self, right: &str) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(right) {
            self.push(Token::Close, right.len());
            return Some(false);
        }
        let trimmed = rest.trim_start_matches(is_space);
        let spaces = rest.len() - trimmed.len();
        if spaces > 0 && trimmed.starts_with('-') && trimmed[1..].starts_with(right) {
            self.push(Token::Close, spaces + 1 + right.len());
            return Some(true);
        }
        None
    }

    fn comment(&mut self, spaces: usize, right: &str) -> Result<bool, TemplateError> {
        let Some(end) = self.rest().find("*/") else {
            return Err(self.error("unclosed comment"));
        };
        let before = self.tokens.len();
        self.skip(end.max(spaces) + 2);
        let closed = self.close(right);
        self.tokens.truncate(before);
        closed.ok_or_else(|| self.error("comment ends before closing delimiter"))
    }

    fn quoted(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let mut escaped = false;
        for (index, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                '"' if !escaped => {
                    let text = unescape(&rest[1..index]).ok_or_else(|| {
                        self.error(format!("wrong escape in {}", &rest[..=index]))
                    })?;
                    self.push(Token::Quoted(text), index + 1);
                    return Ok(());
                }
                c => escaped = c == '\\' && !escaped,
            }
        }
        Err(self.error("unterminated quoted string"))
    }

    fn raw(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let end = rest[1..]
            .find('`')
            .ok_or_else(|| self.error("unterminated raw quoted string"))?;
        self.push(Token::Quoted(rest[1..=end].to_owned()), end + 2);
        Ok(())
    }

    fn character(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let start = if rest[1..].starts_with('\\') { 3 } else { 2 };
        let found = rest
            .char_indices()
            .skip(start)
            .find(|(_, c)| *c == '\'')
            .map(|(index, _)| index);
        let end = found.ok_or_else(|| self.error("unterminated character constant"))?;
        let text = unescape(&rest[1..end]).unwrap_or_default();
        let mut characters = text.chars();
        let (Some(c), None) = (characters.next(), characters.next()) else {
            return Err(self.error(format!("malformed character constant: {}", &rest[..=end])));
        };
        self.push(Token::Character(i64::from(u32::from(c))), end + 1);
        Ok(())
    }

    fn number(&mut self) -> Result<(), TemplateError> {
        let rest = self.rest();
        let signed = usize::from(rest.starts_with(['+', '-']));
        let hexadecimal = rest[signed..].starts_with("0x") || rest[signed..].starts_with("0X");
        let mut length = signed;
        let mut before = ' ';
        for c in rest[signed..].chars() {
            let exponent_sign =
                matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hexadecimal;
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent_sign) {
                break;
            }
            length += 1;
            before = c;
        }
        if length == signed {
            return Err(self.error(format!("bad number syntax: `{}`", &rest[..length.max(1)])));
        }
        self.push(Token::Number(rest[..length].to_owned()), length);
        Ok(())
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| c != '_' && !c.is_alphanumeric())
        .unwrap_or(text.len())
}

/// Reads Go's escapes; none if one is wrong.
fn unescape(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        let code = |characters: &mut std::str::Chars<'_>, count: usize| {
            let digits: String = characters.by_ref().take(count).collect();
            let valid = digits.len() == count;
            valid.then(|| {
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
            })?
        };
        result.push(match characters.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            c @ ('\\' | '\'' | '"') => c,
            'x' => code(&mut characters, 2)?,
            'u' => code(&mut characters, 4)?,
            'U' => code(&mut characters, 8)?,
            c @ '0'..='7' => {
                let more: String = characters.by_ref().take(2).collect();
                char::from_u32(u32::from_str_radix(&format!("{c}{more}"), 8).ok()?)?
            }
            _ => return None,
        });
    }
    Some(result)
}
