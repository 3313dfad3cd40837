//! Declarations: targets, values, secrets, data, and the fences around a run.

use super::Compiler;
use crate::problem::Fault;
use crate::program::{Data, Format, Setting, Source, Target};
use crate::token::Token;
use crate::words::Words;

impl Compiler {
    pub(super) fn name(&mut self, words: &mut Words) -> Result<(), Fault> {
        let name = words.quoted("the scenario's name")?;
        if name.text.trim().is_empty() {
            return Err(Fault::new(name.span, "the name is empty"));
        }
        if !self.program.name.is_empty() {
            return Err(Fault::new(name.span, "the scenario has a name already"));
        }
        self.program.name = name.text;
        Ok(())
    }

    /// Refuses a name that something else has.
    fn fresh(&self, name: &Token) -> Result<(), Fault> {
        if self.names().any(|taken| taken == name.text) {
            return Err(Fault::new(
                name.span,
                format!("the name `{}` is taken by a line above", name.text),
            ));
        }
        if super::hole::FUNCTIONS.contains(&name.text.as_str()) {
            return Err(
                Fault::new(name.span, format!("`{}` is a function's name", name.text))
                    .hint("choose another name"),
            );
        }
        Ok(())
    }

    /// Everything that can stand in `{{…}}` by its name alone, captures aside, and data.
    fn names(&self) -> impl Iterator<Item = &str> {
        let program = &self.program;
        program
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .chain(program.values.iter().map(|value| value.name.as_str()))
            .chain(program.secrets.iter().map(|secret| secret.name.as_str()))
            .chain(program.data.iter().map(|data| data.name.as_str()))
    }

    fn declared(&self, words: &mut Words, what: &str) -> Result<Token, Fault> {
        let name = words.name(what)?;
        self.fresh(&name)?;
        words.sign("=")?;
        Ok(name)
    }

    pub(super) fn target(&mut self, words: &mut Words) -> Result<(), Fault> {
        let name = self.declared(words, "a target's name")?;
        let span = words.here();
        let source = source(words)?;
        if let Source::Literal(url)
        | Source::Environment {
            default: Some(url), ..
        } = &source
            && let Err(message) = crate::address::Address::parse(url)
        {
            return Err(Fault::new(span, message));
        }
        let ca = if words.take("ca") {
            Some(words.quoted("a file with certificates")?.text)
        } else {
            None
        };
        self.program.targets.push(Target {
            name: name.text,
            source,
            ca,
        });
        Ok(())
    }

    pub(super) fn value(&mut self, words: &mut Words) -> Result<(), Fault> {
        let name = self.declared(words, "a value's name")?.text;
        let source = source(words)?;
        self.program.values.push(Setting { name, source });
        Ok(())
    }

    pub(super) fn secret(&mut self, words: &mut Words) -> Result<(), Fault> {
        let name = self.declared(words, "a secret's name")?.text;
        let span = words.here();
        let source = source(words)?;
        if !matches!(source, Source::Environment { default: None, .. }) {
            return Err(Fault::new(span, "a secret does not stand in the file")
                .hint("write `= env VARIABLE`"));
        }
        self.program.secrets.push(Setting { name, source });
        Ok(())
    }

    pub(super) fn data(&mut self, words: &mut Words) -> Result<(), Fault> {
        let name = self.declared(words, "the name of data")?.text;
        let format = if words.take("csv") {
            Format::Csv
        } else if words.take("json") {
            Format::Json
        } else {
            return Err(words.unexpected("`csv` or `json`"));
        };
        let file = words.quoted("the file")?.text;
        let unique = words.take("unique");
        if !unique && !words.take("shared") && !words.is_done() {
            return Err(words.unexpected("`unique` or `shared`"));
        }
        self.program.data.push(Data {
            name,
            format,
            file,
            unique,
            columns: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn hosts(&mut self, words: &mut Words) -> Result<(), Fault> {
        let hosts = list(words)?;
        self.program.hosts.extend(hosts);
        Ok(())
    }

    pub(super) fn production(&mut self, words: &mut Words) -> Result<(), Fault> {
        let hosts = list(words)?;
        self.program.production.extend(hosts);
        Ok(())
    }

    pub(super) fn rate_max(&mut self, words: &mut Words) -> Result<(), Fault> {
        let span = words.here();
        let rate = words.rate()?;
        if rate <= 0.0 {
            return Err(Fault::new(span, "nothing can be sent at this rate"));
        }
        self.program.rate_max = Some(rate);
        Ok(())
    }

    pub(super) fn cookies(&mut self, words: &mut Words) -> Result<(), Fault> {
        self.program.cookies = if words.take("on") {
            true
        } else if words.take("off") {
            false
        } else {
            return Err(words.unexpected("`on` or `off`"));
        };
        Ok(())
    }
}

/// Reads `env VARIABLE [default "…"]` or `"…"`.
fn source(words: &mut Words) -> Result<Source, Fault> {
    if words.peek().is_some_and(|token| token.quoted) {
        return Ok(Source::Literal(words.quoted("a value")?.text));
    }
    if !words.take("env") {
        return Err(words
            .unexpected("`env VARIABLE` or a text in quotes")
            .hint("for example `env TARGET_URL default \"http://localhost:8080\"`"));
    }
    let variable = words.name("an environment variable")?.text;
    let default = if words.take("default") {
        Some(words.quoted("the default")?.text)
    } else {
        None
    };
    Ok(Source::Environment { variable, default })
}

/// Reads hosts in quotes with commas between them.
fn list(words: &mut Words) -> Result<Vec<String>, Fault> {
    let mut hosts = Vec::new();
    loop {
        let host = words.quoted("a host")?;
        if host.text.is_empty() || host.text.contains(['/', ':', '*', ' ']) {
            return Err(Fault::new(
                host.span,
                format!("`{}` is not the name of a host", host.text),
            )
            .hint("give names such as `shop.example.org`, without scheme, port or pattern"));
        }
        hosts.push(host.text.to_ascii_lowercase());
        if !words.take(",") {
            return Ok(hosts);
        }
    }
}
