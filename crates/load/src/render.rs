//! Makes the bytes of requests: what is known is laid out once, what changes is filled in.

use foreshore_scenario::{Address, Escape, Expression, Part, Random, Setup, Step, Template};

/// What fills the holes of one request.
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) captures: &'a [Option<Box<str>>],
    /// Row of each data that the user has.
    pub(crate) rows: &'a [usize],
    pub(crate) user: u64,
    pub(crate) iteration: u64,
    pub(crate) unix_millis: i64,
}

/// Fills a template.
pub(crate) fn fill(
    template: &Template,
    setup: &Setup,
    filling: &Filling<'_>,
    random: &mut Random,
    out: &mut String,
) {
    for part in &template.parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Hole(expression, escape) => {
                value(expression, *escape, setup, filling, random, out);
            }
        }
    }
}

fn value(
    expression: &Expression,
    escape: Escape,
    setup: &Setup,
    filling: &Filling<'_>,
    random: &mut Random,
    out: &mut String,
) {
    match expression {
        Expression::Capture(slot) => {
            escape.write(filling.captures[*slot].as_deref().unwrap_or(""), out);
        }
        Expression::Field { data, column } => {
            escape.write(&setup.rows[*data][filling.rows[*data]][*column], out);
        }
        Expression::Uuid => out.push_str(&random.uuid()),
        Expression::OneOf(choices) => {
            let place = random.below(choices.len() as u64);
            let place = usize::try_from(place).expect("it is below the length of a list");
            escape.write(&choices[place], out);
        }
        Expression::Whole { least, most } => {
            out.push_str(&random.between(*least, *most).to_string());
        }
        Expression::Letters(count) => out.push_str(&random.letters(*count)),
        Expression::User => out.push_str(&filling.user.to_string()),
        Expression::Iteration => out.push_str(&filling.iteration.to_string()),
        Expression::UnixMillis => out.push_str(&filling.unix_millis.to_string()),
        Expression::Target(_) | Expression::Value(_) | Expression::Secret(_) => {
            unreachable!("binding puts these in before the run")
        }
    }
}

/// A step with everything that never changes laid out.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Where it goes, if that never changes.
    pub(crate) fixed: Option<(usize, Address)>,
    /// The whole request, if nothing in it changes; a cookie still would.
    pub(crate) constant: Option<Box<[u8]>>,
}

const USER_AGENT: &str = concat!("foreshore-load/", env!("CARGO_PKG_VERSION"));

/// Why a request cannot be made of its values.
pub(crate) type Refused = String;

/// The parts of a request besides its step's templates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'static str,
    pub(crate) authority: &'a str,
    /// Path and query; may be empty.
    pub(crate) path: &'a str,
    pub(crate) cookie: Option<&'a str>,
    /// A redirect may drop the body.
    pub(crate) with_body: bool,
}

/// Writes a request into `out`, after what is there.
pub(crate) fn write(
    step: &Step,
    line: Line<'_>,
    mut text: impl FnMut(&Template, &mut String),
    out: &mut Vec<u8>,
) -> Result<(), Refused> {
    let mut head = String::with_capacity(256);
    head.push_str(line.method);
    head.push(' ');
    if !line.path.starts_with('/') {
        head.push('/');
    }
    head.push_str(line.path);
    head.push_str(" HTTP/1.1\r\nHost: ");
    head.push_str(line.authority);
    head.push_str("\r\n");
    let mut has = (false, false);
    for (name, value) in &step.headers {
        let about_body = name.len() >= 8 && name[..8].eq_ignore_ascii_case("content-");
        if (about_body && !line.with_body) || name.eq_ignore_ascii_case("host") {
            continue;
        }
        has.0 |= name.eq_ignore_ascii_case("user-agent");
        has.1 |= name.eq_ignore_ascii_case("accept");
        head.push_str(name);
        head.push_str(": ");
        let start = head.len();
        text(value, &mut head);
        if head[start..].contains(['\r', '\n', '\0']) {
            return Err(format!("the value of header `{name}` holds a line break"));
        }
        head.push_str("\r\n");
    }
    if !has.0 {
        head.push_str("User-Agent: ");
        head.push_str(USER_AGENT);
        head.push_str("\r\n");
    }
    if !has.1 {
        head.push_str(if step.stream.is_some() {
            "Accept: text/event-stream\r\n"
        } else {
            "Accept: */*\r\n"
        });
    }
    if let Some(cookie) = line.cookie {
        head.push_str("Cookie: ");
        head.push_str(cookie);
        head.push_str("\r\n");
    }
    let mut body = String::new();
    if line.with_body {
        if let Some(template) = &step.body {
            text(template, &mut body);
        }
        if step.body.is_some() || matches!(line.method, "POST" | "PUT" | "PATCH") {
            head.push_str("Content-Length: ");
            head.push_str(&body.len().to_string());
            head.push_str("\r\n");
        }
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
    Ok(())
}

/// Writes a request as a command for a shell, without what must stay secret.
pub(crate) fn replay(bytes: &[u8], tls: bool, secrets: &[(String, String)]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default();
    let path = first.next().unwrap_or_default();
    let mut host = "";
    let mut words = vec!["curl -i".to_owned()];
    if method != "GET" {
        words.push(format!("-X {method}"));
    }
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "host" => host = value,
            "content-length" | "user-agent" => {}
            "accept" if value == "*/*" => {}
            "authorization" | "cookie" | "proxy-authorization" => {
                words.push(format!("-H '{name}: [redacted]'"));
            }
            _ => words.push(format!("-H {}", quoted(line))),
        }
    }
    if !body.is_empty() {
        words.push(format!("--data-binary {}", quoted(body)));
    }
    let scheme = if tls { "https" } else { "http" };
    words.push(quoted(&format!("{scheme}://{host}{path}")));
    redact(&words.join(" "), secrets)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Replaces every secret, and how it looks escaped, by its name.
pub(crate) fn redact(text: &str, secrets: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (name, secret) in secrets {
        if secret.is_empty() {
            continue;
        }
        let label = format!("[{name}]");
        for escape in [Escape::Plain, Escape::Url, Escape::JsonText] {
            let mut form = String::new();
            escape.write(secret, &mut form);
            text = text.replace(&form, &label);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use foreshore_scenario::compile;

    use super::*;

    fn request(lines: &str, value: &str, cookie: Option<&str>) -> Result<String, Refused> {
        let text =
            format!("scenario \"s\"\nstep a POST http://h/x\n{lines}\nprofile p iterations 1\n");
        let program = compile("x.scn", &text).unwrap();
        let mut out = Vec::new();
        let line = Line {
            method: "POST",
            authority: "h",
            path: "/x",
            cookie,
            with_body: true,
        };
        write(
            &program.steps[0],
            line,
            |template, out| {
                for part in &template.parts {
                    match part {
                        Part::Text(text) => out.push_str(text),
                        Part::Hole(_, escape) => escape.write(value, out),
                    }
                }
            },
            &mut out,
        )?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_request_has_what_http_asks_for() {
        let text = request(
            "  X-A: {{uuid}}\n  {\"a\":\"{{uuid}}\"}",
            "é\"",
            Some("s=1"),
        )
        .unwrap();
        assert_eq!(
            text,
            format!(
                "POST /x HTTP/1.1\r\nHost: h\r\nX-A: é\"\r\nContent-Type: application/json\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nCookie: s=1\r\nContent-Length: 12\r\n\r\n{{\"a\":\"é\\\"\"}}"
            )
        );
    }

    #[test]
    fn a_value_cannot_add_a_header() {
        let refused = request("  X-A: {{uuid}}", "a\r\nX-B: 1", None).unwrap_err();
        assert_eq!(refused, "the value of header `X-A` holds a line break");
    }

    #[test]
    fn a_replay_names_no_secret() {
        let bytes = request(
            "  Authorization: Bearer {{uuid}}\n  X-Key: {{uuid}}\n  {\"k\":\"{{uuid}}\"}",
            "hu\"sh",
            Some("sid=1"),
        )
        .unwrap();
        let secrets = [("key".to_owned(), "hu\"sh".to_owned())];
        let replay = replay(bytes.as_bytes(), true, &secrets);
        assert_eq!(
            replay,
            "curl -i -X POST -H 'Authorization: [redacted]' -H 'X-Key: [key]' -H 'Content-Type: application/json' -H 'Cookie: [redacted]' --data-binary '{\"k\":\"[key]\"}' 'https://h/x'"
        );
    }
}
