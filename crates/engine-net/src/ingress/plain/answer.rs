//! The head of an answer: judged strictly, and written anew for the client; pure.

use std::mem::MaybeUninit;

use http::StatusCode;
use httparse::{Header, ParserConfig, Status};

use super::chunks::{Chunks, Malformed};
use super::request::{is_about_keeping, number, tokens, write};

/// Header fields of one answer.
const FIELDS: usize = 100;

/// What an endpoint has said so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Partial,
    /// A word on the way to the answer; so many bytes are done with.
    Interim(usize),
    Answer(Answer),
    /// Nobody can tell what it means.
    Malformed(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Bytes of the head.
    pub(super) length: usize,
    pub(super) body: Body,
    /// Whether the endpoint takes another request afterwards.
    pub(super) keeps: bool,
}

/// How far the body goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunks),
    /// As long as the connection; clients get it in chunks.
    UntilEnd,
}

impl Body {
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_over(),
            Self::UntilEnd => false,
        }
    }

    /// Reads on; answers how many of the bytes belong to it.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                usize::try_from(taken).map_err(|_| Malformed)
            }
            Self::Chunked(chunks) => chunks.read(bytes),
            Self::UntilEnd => Ok(bytes.len()),
        }
    }
}

/// Judges what an endpoint said; the head of an answer stands in `out` as the
/// client gets it, but for its end: more fields may follow.
pub(super) fn hear(bytes: &[u8], is_head: bool, out: &mut Vec<u8>) -> Heard {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let parsing =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields);
    let length = match parsing {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Heard::Partial,
        Err(_) => return Heard::Malformed("gave an answer that is not HTTP/1.1"),
    };
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let Some(code) = code else {
        return Heard::Malformed("gave an answer with a status that does not exist");
    };
    if code == StatusCode::SWITCHING_PROTOCOLS {
        return Heard::Malformed("switched to a protocol nobody asked for");
    }
    if code.is_informational() {
        return Heard::Interim(length);
    }
    let facts = match Facts::of(parsed.headers) {
        Ok(facts) => facts,
        Err(why) => return Heard::Malformed(why),
    };
    let has_body = !is_head && !matches!(code, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = match facts.length {
        _ if !has_body => Body::Length(0),
        _ if facts.is_chunked => Body::Chunked(Chunks::new()),
        Some(length) => Body::Length(length),
        None => Body::UntilEnd,
    };
    out.clear();
    let reason = parsed.reason.unwrap_or_default().as_bytes();
    write(
        out,
        &[
            b"HTTP/1.1 ",
            code.as_str().as_bytes(),
            b" ",
            reason,
            b"\r\n",
        ],
    );
    match facts.length {
        Some(length) if code != StatusCode::NO_CONTENT => {
            write(
                out,
                &[b"content-length: ", length.to_string().as_bytes(), b"\r\n"],
            );
        }
        _ if has_body => write(out, &[b"transfer-encoding: chunked\r\n"]),
        _ => {}
    }
    facts.copy_others(out);
    Heard::Answer(Answer {
        length,
        keeps: facts.keeps && parsed.version == Some(1) && body != Body::UntilEnd,
        body,
    })
}

/// What the fields say that matters on the way.
struct Facts<'h, 'b> {
    fields: &'h [Header<'b>],
    length: Option<u64>,
    is_chunked: bool,
    keeps: bool,
    has_date: bool,
    /// The first field that `Connection` says must not travel.
    named: Option<&'b [u8]>,
}

impl<'h, 'b> Facts<'h, 'b> {
    fn of(fields: &'h [Header<'b>]) -> Result<Self, &'static str> {
        let mut facts = Self {
            fields,
            length: None,
            is_chunked: false,
            keeps: true,
            has_date: false,
            named: None,
        };
        for field in fields {
            match Kind::of(field.name) {
                Kind::Length => {
                    let length = number(field.value);
                    if length.is_none() || facts.length.is_some_and(|known| Some(known) != length) {
                        return Err("gave an answer of no certain length");
                    }
                    facts.length = length;
                }
                Kind::Encoding => {
                    if facts.is_chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                        return Err("gave an answer in a transfer encoding that is not known");
                    }
                    facts.is_chunked = true;
                }
                Kind::Connection => {
                    for token in tokens(field.value) {
                        facts.keeps &= !token.eq_ignore_ascii_case(b"close");
                        if !is_about_keeping(token) {
                            facts.named.get_or_insert(token);
                        }
                    }
                }
                Kind::Date => facts.has_date = true,
                Kind::Hop | Kind::Other => {}
            }
        }
        if facts.is_chunked && facts.length.is_some() {
            return Err("gave an answer with both a length and a transfer encoding");
        }
        Ok(facts)
    }

    fn copy_others(&self, out: &mut Vec<u8>) {
        for field in self.fields {
            let travels = matches!(Kind::of(field.name), Kind::Date | Kind::Other)
                && !(self.named.is_some() && self.is_named(field.name));
            if travels {
                write(out, &[field.name.as_bytes(), b": ", field.value, b"\r\n"]);
            }
        }
        if !self.has_date {
            write(out, &[b"date: ", now().as_bytes(), b"\r\n"]);
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.fields
            .iter()
            .filter(|field| Kind::of(field.name) == Kind::Connection)
            .flat_map(|field| tokens(field.value))
            .any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The time as a header field tells it.
pub(super) fn now() -> String {
    let time = foreshore_model::clock::now();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Length,
    Encoding,
    Connection,
    Date,
    /// Speaks of one connection only.
    Hop,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is("te") => Self::Hop,
            4 if is("date") => Self::Date,
            7 if is("trailer") || is("upgrade") => Self::Hop,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::Hop,
            14 if is("content-length") => Self::Length,
            16 if is("proxy-connection") => Self::Hop,
            17 if is("transfer-encoding") => Self::Encoding,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head a client gets, and what was understood.
    #[track_caller]
    fn heard(said: &str, is_head: bool) -> (String, Answer) {
        let mut out = Vec::new();
        match hear(said.as_bytes(), is_head, &mut out) {
            Heard::Answer(answer) => (String::from_utf8(out).unwrap(), answer),
            other => panic!("{said:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn malformed(said: &str, why: &'static str) {
        let told = hear(said.as_bytes(), false, &mut Vec::new());
        assert_eq!(told, Heard::Malformed(why), "{said:?}");
    }

    const DATE: &str = "date: today\r\n";

    #[test]
    fn an_answer_is_written_anew_without_what_speaks_of_the_connection() {
        let said = format!(
            "HTTP/1.1 201 Made Here\r\nConnection: X-Hop, keep-alive\r\nx-hop: 1\r\nKeep-Alive: 5\r\n\
             Content-Length: 05\r\n{DATE}Set-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello"
        );
        let (head, answer) = heard(&said, false);
        assert_eq!(
            head,
            format!(
                "HTTP/1.1 201 Made Here\r\ncontent-length: 5\r\n{DATE}Set-Cookie: a\r\nSet-Cookie: b\r\n"
            )
        );
        assert_eq!(answer.length, said.len() - 5);
        assert_eq!((answer.body, answer.keeps), (Body::Length(5), true));
    }

    #[test]
    fn where_a_body_ends_follows_from_the_head() {
        let say = |code: &str, fields: &str| format!("HTTP/1.1 {code}\r\n{DATE}{fields}\r\n");
        let chunked = "transfer-encoding: Chunked\r\n";
        let (head, answer) = heard(&say("200 OK", chunked), false);
        assert_eq!(answer.body, Body::Chunked(Chunks::new()));
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        let (head, answer) = heard(&say("200 OK", ""), false);
        assert_eq!((answer.body, answer.keeps), (Body::UntilEnd, false));
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        for (code, is_head) in [("204 None", false), ("304 Same", false), ("200 OK", true)] {
            let (_, answer) = heard(&say(code, "content-length: 7\r\n"), is_head);
            assert_eq!(
                (answer.body, answer.keeps),
                (Body::Length(0), true),
                "{code}"
            );
        }
        let (head, _) = heard(&say("200 OK", "content-length: 7\r\n"), true);
        assert!(head.contains("content-length: 7"), "{head}");
    }

    #[test]
    fn a_connection_that_ends_is_not_used_again() {
        let (_, answer) = heard(
            "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n",
            false,
        );
        assert!(!answer.keeps);
        let (head, answer) = heard("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false);
        assert!(!answer.keeps);
        assert!(
            head.contains("\r\ndate: ") && head.contains(" GMT\r\n"),
            "{head}"
        );
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let said = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n";
        assert_eq!(hear(said, false, &mut Vec::new()), Heard::Interim(37));
        assert_eq!(hear(&said[37..], false, &mut Vec::new()), Heard::Partial);
    }

    #[test]
    fn answers_that_can_be_read_in_two_ways_are_malformed() {
        let say = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let length = "gave an answer of no certain length";
        malformed(&say("content-length: 4\r\ncontent-length: 5"), length);
        malformed(&say("content-length: 4, 4"), length);
        malformed(&say("content-length: -4"), length);
        let encoding = "gave an answer in a transfer encoding that is not known";
        malformed(&say("transfer-encoding: gzip, chunked"), encoding);
        malformed(
            &say("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
            encoding,
        );
        malformed(
            &say("content-length: 4\r\ntransfer-encoding: chunked"),
            "gave an answer with both a length and a transfer encoding",
        );
        malformed("SSH-2.0-x\r\n\r\n", "gave an answer that is not HTTP/1.1");
        malformed(
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "gave an answer that is not HTTP/1.1",
        );
        malformed(
            "HTTP/1.1 101 Yes\r\n\r\n",
            "switched to a protocol nobody asked for",
        );
        malformed(
            "HTTP/1.1 099 What\r\n\r\n",
            "gave an answer with a status that does not exist",
        );
    }
}
