//! Makes a tree of the words, and refuses what names nothing that is known.

use std::collections::BTreeMap;

use foreshore_model::nearest;

use crate::error::TemplateError;
use crate::functions;
use crate::lex::{Placed, Token};
use crate::tree::{Body, Branch, Command, Node, Pipe, Word};

/// Deeper nesting than this is no template of a person.
const DEPTH_MAX: usize = 100;

/// A template and those it defines.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) body: Body,
    pub(crate) defined: BTreeMap<String, Body>,
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
    loops: usize,
    variables: Vec<String>,
    defined: BTreeMap<String, Body>,
}

/// How a body ended.
#[derive(Debug, PartialEq)]
enum Ended {
    File,
    Closed,
    /// `else`, alone.
    Else,
    /// `else if …` or `else with …`; the words follow.
    ElseIf(&'static str),
}

pub(crate) fn parse(name: &str, tokens: Vec<Placed>) -> Result<Parsed, TemplateError> {
    let mut parser = Parser {
        name,
        tokens,
        at: 0,
        depth: 0,
        loops: 0,
        variables: vec!["$".to_owned()],
        defined: BTreeMap::new(),
    };
    let (body, end) = parser.body()?;
    if end != Ended::File {
        return Err(parser.error("unexpected {{end}} or {{else}}"));
    }
    Ok(Parsed {
        body,
        defined: parser.defined,
    })
}

impl Parser<'_> {
    fn error(&self, what: impl Into<String>) -> TemplateError {
        let line = self
            .tokens
            .get(self.at.min(self.tokens.len().saturating_sub(1)))
            .map_or(1, |(_, line)| *line);
        TemplateError {
            template: self.name.to_owned(),
            line,
            what: what.into(),
        }
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(1, |(_, line)| *line)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).map(|(token, _)| token.clone());
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.at += 1;
        }
    }

    fn expect_close(&mut self, context: &str) -> Result<(), TemplateError> {
        self.skip_space();
        match self.peek() {
            Some(Token::Close) => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.error(format!("unexpected words in {context}"))),
        }
    }

    fn body(&mut self) -> Result<(Body, Ended), TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("nested more than {DEPTH_MAX} deep")));
        }
        let mut body = Body::new();
        loop {
            match self.next() {
                None => {
                    self.depth -= 1;
                    return Ok((body, Ended::File));
                }
                Some(Token::Text(text)) => body.push(Node::Text(text)),
                Some(Token::Open) => {
                    if let Some(end) = self.action(&mut body)? {
                        self.depth -= 1;
                        return Ok((body, end));
                    }
                }
                Some(_) => return Err(self.error("unexpected words outside of an action")),
            }
        }
    }

    /// Reads one action; returns how the body ends, if it does.
    fn action(&mut self, body: &mut Body) -> Result<Option<Ended>, TemplateError> {
        self.skip_space();
        let line = self.line();
        let word = match self.peek() {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        match word.as_str() {
            "end" => {
                self.at += 1;
                self.expect_close("end")?;
                return Ok(Some(Ended::Closed));
            }
            "else" => {
                self.at += 1;
                return self.otherwise().map(Some);
            }
            "if" | "with" | "range" => {
                self.at += 1;
                let node = self.branch(&word)?;
                body.push(node);
            }
            "break" | "continue" => {
                self.at += 1;
                self.expect_close(&word)?;
                if self.loops == 0 {
                    return Err(self.error(format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                body.push(if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                });
            }
            "define" => {
                self.at += 1;
                let name = self.template_name("define")?;
                self.expect_close("define")?;
                self.definition(name)?;
            }
            "block" => {
                self.at += 1;
                let name = self.template_name("block")?;
                let argument = self.pipe("block")?;
                self.definition(name.clone())?;
                body.push(Node::Template {
                    line,
                    name,
                    argument: Some(argument),
                });
            }
            "template" => {
                self.at += 1;
                let name = self.template_name("template")?;
                self.skip_space();
                let argument = if self.peek() == Some(&Token::Close) {
                    self.at += 1;
                    None
                } else {
                    Some(self.pipe("template")?)
                };
                body.push(Node::Template {
                    line,
                    name,
                    argument,
                });
            }
            _ => {
                let pipe = self.pipe("command")?;
                body.push(Node::Action(pipe));
            }
        }
        Ok(None)
    }

    /// Reads what follows `else`.
    fn otherwise(&mut self) -> Result<Ended, TemplateError> {
        self.skip_space();
        let more = match self.peek() {
            Some(Token::Word(word)) if word == "if" => Some("if"),
            Some(Token::Word(word)) if word == "with" => Some("with"),
            _ => None,
        };
        if let Some(word) = more {
            self.at += 1;
            return Ok(Ended::ElseIf(word));
        }
        self.expect_close("else")?;
        Ok(Ended::Else)
    }

    fn template_name(&mut self, context: &str) -> Result<String, TemplateError> {
        self.skip_space();
        if let Some(Token::Quoted(name)) = self.next() {
            return Ok(name);
        }
        self.at -= 1;
        Err(self.error(format!("{context} needs a quoted name")))
    }

    fn definition(&mut self, name: String) -> Result<(), TemplateError> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, end) = self.body()?;
        if end != Ended::Closed {
            return Err(self.error(format!("{{{{define \"{name}\"}}}} has no {{{{end}}}}")));
        }
        self.variables = outer;
        self.loops = loops;
        self.defined.insert(name, body);
        Ok(())
    }

    fn branch(&mut self, word: &str) -> Result<Node, TemplateError> {
        let known = self.variables.len();
        let pipe = self.pipe(word)?;
        self.loops += usize::from(word == "range");
        let (body, end) = self.body()?;
        self.loops -= usize::from(word == "range");
        let otherwise = match end {
            Ended::Closed => Body::new(),
            Ended::Else => {
                let (otherwise, end) = self.body()?;
                if end != Ended::Closed {
                    return Err(
                        self.error(format!("{{{{{word}}}}} has more than one {{{{else}}}}"))
                    );
                }
                otherwise
            }
            Ended::ElseIf(inner) if inner == word => vec![self.branch(inner)?],
            Ended::ElseIf(inner) => {
                return Err(self.error(format!(
                    "{{{{else {inner}}}}} does not follow {{{{{word}}}}}"
                )));
            }
            Ended::File => return Err(self.error(format!("{{{{{word}}}}} has no {{{{end}}}}"))),
        };
        self.variables.truncate(known);
        let branch = Branch {
            pipe,
            body,
            otherwise,
        };
        Ok(match word {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    /// Reads a pipe up to the right delimiter, and takes that too.
    fn pipe(&mut self, context: &str) -> Result<Pipe, TemplateError> {
        let pipe = self.inner_pipe(context)?;
        self.expect_close(context)?;
        Ok(pipe)
    }

    fn inner_pipe(&mut self, context: &str) -> Result<Pipe, TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("nested more than {DEPTH_MAX} deep")));
        }
        self.skip_space();
        let line = self.line();
        let (variables, assigns) = self.declaration(context)?;
        let mut commands = Vec::new();
        loop {
            let command = self.command()?;
            if command.words.is_empty() {
                // Go takes a pipe that leads nowhere.
                if !commands.is_empty() && self.peek() == Some(&Token::Close) {
                    break;
                }
                return Err(self.error(format!("missing value for {context}")));
            }
            if matches!(command.words[0], Word::Nil) {
                return Err(self.error("nil is not a command"));
            }
            commands.push(command);
            self.skip_space();
            if self.peek() == Some(&Token::Pipe) {
                self.at += 1;
            } else {
                break;
            }
        }
        for (position, command) in commands.iter().enumerate().skip(1) {
            if !matches!(
                command.words[0],
                Word::Function(_) | Word::Field(_) | Word::Variable(..)
            ) {
                return Err(self.error(format!(
                    "non executable command in pipeline stage {}",
                    position + 1
                )));
            }
        }
        // Declared only now: a variable is not known in its own value.
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipe {
            line,
            variables,
            assigns,
            commands,
        })
    }

    /// Reads `$a :=`, `$a =` or, in a range, `$i, $v :=`; nothing if there is none.
    fn declaration(&mut self, context: &str) -> Result<(Vec<String>, bool), TemplateError> {
        let start = self.at;
        let mut variables = Vec::new();
        loop {
            self.skip_space();
            let Some(Token::Variable(name)) = self.peek().cloned() else {
                break;
            };
            self.at += 1;
            variables.push(name);
            self.skip_space();
            match self.peek() {
                Some(Token::Comma) if context == "range" => self.at += 1,
                Some(token @ (Token::Declare | Token::Assign)) => {
                    let assigns = *token == Token::Assign;
                    self.at += 1;
                    if variables.len() > 2 {
                        return Err(self.error(format!("too many declarations in {context}")));
                    }
                    if let Some(name) = variables
                        .iter()
                        .find(|name| assigns && !self.variables.contains(name))
                    {
                        return Err(self.error(format!("undefined variable `{name}`")));
                    }
                    return Ok((variables, assigns));
                }
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn command(&mut self) -> Result<Command, TemplateError> {
        let mut words = Vec::new();
        loop {
            self.skip_space();
            let Some(word) = self.word()? else {
                return Ok(Command { words });
            };
            words.push(word);
            match self.peek() {
                Some(Token::Space | Token::Pipe | Token::RightParenthesis | Token::Close)
                | None => {}
                _ => return Err(self.error("words must be separated by spaces")),
            }
        }
    }

    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(Token::Field(field)) = self.peek() {
            fields.push(field.clone());
            self.at += 1;
        }
        fields
    }

    fn word(&mut self) -> Result<Option<Word>, TemplateError> {
        let Some(token) = self.peek().cloned() else {
            return Ok(None);
        };
        self.at += 1;
        let word = match token {
            Token::Dot => Word::Dot,
            Token::Field(_) => {
                self.at -= 1;
                Word::Field(self.fields())
            }
            Token::Variable(name) => {
                if !self.variables.contains(&name) {
                    self.at -= 1;
                    let near = nearest(&name, self.variables.iter().map(String::as_str));
                    let near =
                        near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                    return Err(self.error(format!("undefined variable `{name}`{near}")));
                }
                Word::Variable(name, self.fields())
            }
            Token::Quoted(text) => Word::Text(text),
            Token::Character(code) => Word::Int(code),
            Token::Number(text) => self.number(&text)?,
            Token::Word(word) => match word.as_str() {
                "true" => Word::Bool(true),
                "false" => Word::Bool(false),
                "nil" => Word::Nil,
                _ => {
                    if let Err(what) = functions::check(&word) {
                        self.at -= 1;
                        return Err(self.error(what));
                    }
                    Word::Function(word)
                }
            },
            Token::LeftParenthesis => {
                let pipe = self.inner_pipe("parenthesized pipeline")?;
                self.skip_space();
                if self.next() != Some(Token::RightParenthesis) {
                    self.at -= 1;
                    return Err(self.error("unclosed left paren"));
                }
                Word::Pipe(Box::new(pipe), self.fields())
            }
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        Ok(Some(word))
    }

    fn number(&self, text: &str) -> Result<Word, TemplateError> {
        let wrong = || self.error(format!("bad number syntax: `{text}`"));
        let digits = text.replace('_', "");
        let (sign, plain) = match digits.strip_prefix('-') {
            Some(plain) => (-1, plain),
            None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
        };
        let lower = plain.to_ascii_lowercase();
        let radix = [("0x", 16), ("0b", 2), ("0o", 8)]
            .into_iter()
            .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)));
        if let Some((digits, radix)) = radix {
            let value = i64::from_str_radix(digits, radix).map_err(|_| wrong())?;
            return Ok(Word::Int(sign * value));
        }
        if plain.len() > 1
            && plain.starts_with('0')
            && plain.bytes().all(|byte| byte.is_ascii_digit())
        {
            let value = i64::from_str_radix(plain, 8).map_err(|_| wrong())?;
            return Ok(Word::Int(sign * value));
        }
        if let Ok(value) = digits.trim_start_matches('+').parse::<i64>() {
            return Ok(Word::Int(value));
        }
        let numeric = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let value = digits
            .parse::<f64>()
            .ok()
            .filter(|value| numeric && value.is_finite());
        value.map(Word::Float).ok_or_else(wrong)
    }
}
