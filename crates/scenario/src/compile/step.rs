//! Steps: the request, and what is expected of the answer.

use super::Compiler;
use crate::line::{Line, width};
use crate::problem::{Fault, Span};
use crate::program::{Capture, Method, Operation, Retry, Statuses, Step, Stream};
use crate::template::Place;
use crate::words::Words;

/// Unless a step says otherwise; more than an answer a check reads, less than what hurts.
const BODY_MAX: u64 = 16 * 1024 * 1024;
const REDIRECTS_MAX: u64 = 20;

const LINES: [&str; 11] = [
    "expect",
    "capture",
    "assert",
    "timeout",
    "redirects",
    "retry",
    "events",
    "body",
    "body-limit",
    "until",
    "file",
];

impl Compiler {
    pub(super) fn step(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let head = Head::read(line)?;
        if let Some(other) = self.program.steps.iter().find(|it| it.name == head.name) {
            return Err(Fault::new(
                head.name_span,
                format!("line {} has a step `{}` already", other.line, head.name),
            ));
        }
        let url = self.template(head.url, head.url_span, Place::Url)?;
        if let Some(text) = url.constant()
            && let Err(message) = crate::address::Address::parse(text)
        {
            return Err(
                Fault::new(head.url_span, message).hint("start it with a target: `{{base}}/path`")
            );
        }
        let mut step = Step {
            name: head.name.to_owned(),
            line: line.number,
            method: head.method,
            url,
            headers: Vec::new(),
            body: None,
            expect: Vec::new(),
            captures: Vec::new(),
            asserts: Vec::new(),
            timeout: None,
            redirects: 0,
            retry: None,
            stream: None,
            body_max: BODY_MAX,
            safe: matches!(head.method, Method::Get | Method::Head | Method::Options),
        };
        self.rest_of_head(&mut step, head.rest, head.rest_span)?;
        for child in &line.children {
            self.attempt(|compiler| compiler.step_line(&mut step, child));
        }
        if step.expect.is_empty() {
            step.expect.push(Statuses {
                first: 200,
                last: 299,
            });
        }
        for (slot, _) in &step.captures {
            if !self.visible.contains(slot) {
                self.visible.push(*slot);
            }
        }
        self.program
            .flow
            .push(Operation::Step(self.program.steps.len()));
        self.program.steps.push(step);
        Ok(())
    }

    /// After the address: marks, or a body on the same line.
    fn rest_of_head(&mut self, step: &mut Step, rest: &str, span: Span) -> Result<(), Fault> {
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(());
        }
        if rest.starts_with('@') {
            let mut words = Words::of(rest, span.line, span.column)?;
            if !words.take("@safe") {
                return Err(words.unexpected("`@safe`"));
            }
            step.safe = true;
            return words.finish();
        }
        if rest.starts_with(['{', '[', '"']) {
            return self.body(step, rest, span);
        }
        Err(Fault::new(span, format!("`{rest}` cannot follow the address"))
            .hint("a body starts with `{`, `[` or `\"`; headers stand indented below, as `Name: value`"))
    }

    fn step_line(&mut self, step: &mut Step, line: &Line<'_>) -> Result<(), Fault> {
        let text = line.text;
        if let Some(block) = &line.verbatim {
            let span = Span {
                line: line.number + 1,
                column: 1,
                width: 1,
            };
            return self.body(step, block, span);
        }
        if let Some(child) = line.children.first() {
            return Err(Fault::new(
                child.span(),
                "nothing is indented below a line of a step",
            ));
        }
        if text.starts_with(['{', '[']) {
            return self.body(step, text, line.span());
        }
        if let Some((name, value)) = header(text) {
            let column = line.indent + 1 + width(text) - width(value);
            let span = Span {
                line: line.number,
                column,
                width: width(value),
            };
            if name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
                || name.eq_ignore_ascii_case("connection")
            {
                return Err(
                    Fault::new(line.span(), format!("`{name}` is set by the runner"))
                        .hint("leave it out"),
                );
            }
            let value = self.template(value, span, Place::Plain)?;
            step.headers.push((name.to_owned(), value));
            return Ok(());
        }
        let mut words = Words::of(text, line.number, line.indent + 1)?;
        let keyword = words.next("a keyword")?;
        match keyword.text.as_str() {
            "expect" => expect(step, &mut words)?,
            "capture" => self.capture(step, &mut words)?,
            "assert" => self.assertion(step, &mut words, line)?,
            "timeout" => step.timeout = Some(words.stretch()?),
            "redirects" => {
                step.redirects = u32::try_from(words.some(REDIRECTS_MAX)?).unwrap_or(u32::MAX);
            }
            "retry" => step.retry = Some(retry(&mut words)?),
            "events" => {
                let events = u32::try_from(words.some(1_000_000)?).unwrap_or(u32::MAX);
                words.sign("within")?;
                let within = words.stretch()?;
                step.stream = Some(Stream { events, within });
            }
            "body-limit" => step.body_max = words.size()?,
            "body" => {
                let text = words.quoted("the body")?;
                self.body(step, &text.text, text.span)?;
            }
            other => {
                return Err(
                    Fault::new(keyword.span, format!("`{other}` is no line of a step"))
                        .nearest(other, LINES.into_iter().take(9)),
                );
            }
        }
        words.finish()
    }

    fn body(&mut self, step: &mut Step, text: &str, span: Span) -> Result<(), Fault> {
        if step.body.is_some() {
            return Err(Fault::new(span, "the step has a body already"));
        }
        if matches!(step.method, Method::Get | Method::Head) {
            return Err(Fault::new(
                span,
                format!("a {} request has no body", step.method.name()),
            ));
        }
        let json = text.starts_with(['{', '[']);
        let place = if json { Place::Json } else { Place::Plain };
        step.body = Some(self.template(text, span, place)?);
        let typed = step
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if json && !typed {
            step.headers.push((
                "Content-Type".to_owned(),
                crate::template::Template::text("application/json"),
            ));
        }
        Ok(())
    }

    fn capture(&mut self, step: &mut Step, words: &mut Words) -> Result<(), Fault> {
        let secret = words.take("secret");
        let name = words.name("the name of a capture")?;
        words.sign("=")?;
        let subject = super::subject::subject(words)?;
        let program = &mut self.program;
        let taken = program
            .targets
            .iter()
            .map(|it| &it.name)
            .chain(
                program
                    .values
                    .iter()
                    .chain(&program.secrets)
                    .map(|it| &it.name),
            )
            .chain(program.data.iter().map(|it| &it.name))
            .any(|taken| *taken == name.text);
        if taken {
            return Err(Fault::new(
                name.span,
                format!("the name `{}` is taken by a line above", name.text),
            ));
        }
        let known = program.captures.iter().position(|it| it.name == name.text);
        let slot = known.unwrap_or(program.captures.len());
        if known.is_none() {
            program.captures.push(Capture {
                name: name.text,
                secret: false,
            });
        }
        program.captures[slot].secret |= secret;
        step.captures.push((slot, subject));
        Ok(())
    }
}

/// The first line of a step, taken apart.
struct Head<'a> {
    name: &'a str,
    name_span: Span,
    method: Method,
    url: &'a str,
    url_span: Span,
    rest: &'a str,
    rest_span: Span,
}

impl<'a> Head<'a> {
    fn read(line: &Line<'a>) -> Result<Self, Fault> {
        let whole = line.text;
        let place = |part: &str| Span {
            line: line.number,
            // Every part is a tail of the line.
            column: line.indent + 1 + width(whole) - width(part),
            width: 0,
        };
        let rest = whole["step".len()..].trim_start();
        let (name, after) = cut(rest);
        let name_span = Span {
            width: width(name),
            ..place(rest)
        };
        let usage = "write `step NAME GET {{base}}/path`";
        // Checked the way every name is.
        Words::of(name, line.number, name_span.column)?
            .name("a step's name")
            .map_err(|fault| fault.hint(usage))?;
        let (word, after_method) = cut(after);
        let method_span = Span {
            width: width(word).max(1),
            ..place(after)
        };
        if word.is_empty() {
            return Err(Fault::new(method_span, "the method is missing here").hint(usage));
        }
        let method = Method::ALL
            .into_iter()
            .find(|method| method.name() == word)
            .ok_or_else(|| {
                Fault::new(method_span, format!("`{word}` is not a method"))
                    .nearest(&word.to_ascii_uppercase(), Method::ALL.map(Method::name))
            })?;
        let (url, after_url) = cut(after_method);
        let url_span = Span {
            width: width(url).max(1),
            ..place(after_method)
        };
        if url.is_empty() {
            return Err(Fault::new(url_span, "the address is missing here").hint(usage));
        }
        Ok(Self {
            name,
            name_span,
            method,
            url,
            url_span,
            rest: after_url,
            rest_span: Span {
                width: width(after_url),
                ..place(after_url)
            },
        })
    }
}

/// Cuts off the first word, with `{{…}}` in one piece.
fn cut(text: &str) -> (&str, &str) {
    let mut inside = false;
    for (place, letter) in text.char_indices() {
        if text[place..].starts_with("{{") {
            inside = true;
        } else if text[place..].starts_with("}}") {
            inside = false;
        }
        if letter.is_whitespace() && !inside {
            return (&text[..place], text[place..].trim_start());
        }
    }
    (text, "")
}

/// Reads `Name: value`.
fn header(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let letters =
        |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    (!name.is_empty() && name.chars().all(letters)).then(|| (name, value.trim_start()))
}

fn expect(step: &mut Step, words: &mut Words) -> Result<(), Fault> {
    loop {
        let token = words.next("a status")?;
        let hundreds = token
            .text
            .strip_suffix("xx")
            .and_then(|digit| digit.parse::<u16>().ok())
            .filter(|digit| (1..=5).contains(digit));
        let exact = token
            .text
            .parse::<u16>()
            .ok()
            .filter(|status| (100..=599).contains(status));
        let statuses = match (hundreds, exact) {
            (Some(hundreds), _) => Statuses {
                first: hundreds * 100,
                last: hundreds * 100 + 99,
            },
            (None, Some(status)) => Statuses {
                first: status,
                last: status,
            },
            _ => {
                return Err(
                    Fault::new(token.span, format!("`{}` is not a status", token.text))
                        .hint("write `expect 200`, `expect 201 | 409` or `expect 2xx`"),
                );
            }
        };
        step.expect.push(statuses);
        if !words.take("|") {
            return Ok(());
        }
    }
}

fn retry(words: &mut Words) -> Result<Retry, Fault> {
    words.sign("within")?;
    let within = words.stretch()?;
    let every = if words.take("every") {
        words.stretch()?
    } else {
        std::time::Duration::from_millis(500)
    };
    Ok(Retry { within, every })
}
