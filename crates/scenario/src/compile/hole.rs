//! What stands in `{{…}}`: names that were declared, and functions.

use super::Compiler;
use crate::problem::{Fault, Span};
use crate::template::{self, Expression, Place, Template};

pub(super) const FUNCTIONS: [&str; 7] = [
    "uuid",
    "one_of",
    "int",
    "letters",
    "user",
    "iteration",
    "unix_millis",
];

/// A random text is a name or a small payload.
const LETTERS_MAX: usize = 65_536;

impl Compiler {
    pub(super) fn template(
        &mut self,
        text: &str,
        span: Span,
        place: Place,
    ) -> Result<Template, Fault> {
        template::parse(text, span, place, |words, span| self.hole(words, span))
    }

    fn hole(&mut self, words: &[&str], span: Span) -> Result<Expression, Fault> {
        let Some((name, arguments)) = words.split_first() else {
            return Err(Fault::new(span, "nothing stands between `{{` and `}}`"));
        };
        if FUNCTIONS.contains(name) {
            return function(name, arguments, span);
        }
        if !arguments.is_empty() {
            return Err(Fault::new(span, format!("`{name}` takes nothing after it")));
        }
        if let Some((data, column)) = name.split_once('.') {
            return self.field(data, column, span);
        }
        let program = &self.program;
        let targets = program.targets.iter().position(|it| it.name == *name);
        let values = program.values.iter().position(|it| it.name == *name);
        let secrets = program.secrets.iter().position(|it| it.name == *name);
        let captures = self
            .visible
            .iter()
            .copied()
            .find(|slot| program.captures[*slot].name == *name);
        captures
            .map(Expression::Capture)
            .or_else(|| targets.map(Expression::Target))
            .or_else(|| values.map(Expression::Value))
            .or_else(|| secrets.map(Expression::Secret))
            .ok_or_else(|| self.unknown(name, span))
    }

    fn unknown(&self, name: &str, span: Span) -> Fault {
        let program = &self.program;
        if program.captures.iter().any(|it| it.name == name) {
            return Fault::new(span, format!("`{name}` is not captured before this line"))
                .hint("a capture made in one branch of `pick` is not known outside it");
        }
        if let Some(data) = program.data.iter().find(|it| it.name == name) {
            return Fault::new(span, format!("`{name}` is data; name one of its columns"))
                .hint(format!("for example `{{{{{}.email}}}}`", data.name));
        }
        let captures = self
            .visible
            .iter()
            .map(|slot| program.captures[*slot].name.as_str());
        let known = captures
            .chain(program.targets.iter().map(|it| it.name.as_str()))
            .chain(program.values.iter().map(|it| it.name.as_str()))
            .chain(program.secrets.iter().map(|it| it.name.as_str()))
            .chain(FUNCTIONS);
        Fault::new(span, format!("there is no `{name}`")).nearest(name, known)
    }

    fn field(&mut self, data: &str, column: &str, span: Span) -> Result<Expression, Fault> {
        let Some(index) = self.program.data.iter().position(|it| it.name == data) else {
            return Err(Fault::new(span, format!("there is no data `{data}`"))
                .nearest(data, self.program.data.iter().map(|it| it.name.as_str())));
        };
        let columns = &mut self.program.data[index].columns;
        let place = columns
            .iter()
            .position(|(known, _)| known == column)
            .unwrap_or_else(|| {
                columns.push((column.to_owned(), span.line));
                columns.len() - 1
            });
        Ok(Expression::Field {
            data: index,
            column: place,
        })
    }
}

fn function(name: &str, arguments: &[&str], span: Span) -> Result<Expression, Fault> {
    let wrong = |usage: &str| {
        Err(Fault::new(span, format!("`{name}` is not used like this"))
            .hint(format!("write `{{{{{usage}}}}}`")))
    };
    let plain = match name {
        "uuid" => Some(Expression::Uuid),
        "user" => Some(Expression::User),
        "iteration" => Some(Expression::Iteration),
        "unix_millis" => Some(Expression::UnixMillis),
        _ => None,
    };
    match (plain, name) {
        (Some(expression), _) if arguments.is_empty() => Ok(expression),
        (Some(_), _) => wrong(name),
        (None, "one_of") => {
            if arguments.is_empty() {
                return wrong("one_of red green blue");
            }
            Ok(Expression::OneOf(
                arguments.iter().map(ToString::to_string).collect(),
            ))
        }
        (None, "int") => {
            let bounds: Vec<i64> = arguments
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect();
            match (bounds.as_slice(), arguments.len()) {
                ([least, most], 2) if least <= most => Ok(Expression::Whole {
                    least: *least,
                    most: *most,
                }),
                _ => wrong("int 1 100"),
            }
        }
        (None, _) => match arguments {
            [count] => match count.parse() {
                Ok(count) if count <= LETTERS_MAX => Ok(Expression::Letters(count)),
                _ => wrong("letters 8"),
            },
            _ => wrong("letters 8"),
        },
    }
}
