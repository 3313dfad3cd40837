//! The template engine, set so that nothing undefined and nothing endless passes.

use foreshore_model::Plan;
use minijinja::value::ValueKind;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::error::RenderError;

/// Instructions one template may take: far above any real plan, far below a second.
const FUEL: u64 = 200_000;

/// Bytes that one template may produce; a manifest has a few thousand.
const OUTPUT_BYTES_MAX: usize = 2 * 1024 * 1024;

fn engine<'source>() -> Environment<'source> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // As YAML and shells write them, not as Python does.
    environment.set_formatter(|output, state, value| match value.kind() {
        ValueKind::Bool => {
            output.write_str(if value.is_true() { "true" } else { "false" })?;
            Ok(())
        }
        _ => minijinja::escape_formatter(output, state, value),
    });
    environment
}

/// The templates of a plan, parsed once for all environments.
pub(crate) struct Templates<'a> {
    engine: Environment<'a>,
    plan: &'a Plan,
}

impl<'a> Templates<'a> {
    pub(crate) fn of(plan: &'a Plan) -> Result<Self, RenderError> {
        let mut engine = engine();
        for (name, text) in &plan.templates {
            engine
                .add_template(name, text)
                .map_err(|error| explain(name, text, &error))?;
        }
        Ok(Self { engine, plan })
    }

    pub(crate) fn render(
        &self,
        name: &str,
        context: &impl Serialize,
    ) -> Result<String, RenderError> {
        let text = self.plan.templates.get(name).map_or("", String::as_str);
        let failed = |error: minijinja::Error| explain(name, text, &error);
        let template = self.engine.get_template(name).map_err(failed)?;
        let value = minijinja::Value::from(minijinja::value::Serde(context));
        let mut output = Bounded::default();
        match template.render_captured_to(value, &mut output) {
            Ok(_) => {}
            Err(_) if output.full => {
                return Err(RenderError::TooLarge {
                    template: name.to_owned(),
                    limit: OUTPUT_BYTES_MAX,
                });
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(String::from_utf8_lossy(&output.bytes).into_owned())
    }
}

/// Output that ends with an error when it grows too large.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_BYTES_MAX {
            self.full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Renders one text; `name` stands in errors.
pub(crate) fn render(
    name: &str,
    text: &str,
    context: &impl Serialize,
) -> Result<String, RenderError> {
    let value = minijinja::Value::from(minijinja::value::Serde(context));
    let mut filled = engine()
        .render_named_str(name, text, value)
        .map_err(|error| explain(name, text, &error))?;
    // The engine drops the last line break of a text; in an argument it counts.
    if text.ends_with('\n') {
        filled.push('\n');
    }
    Ok(filled)
}

fn explain(name: &str, text: &str, error: &minijinja::Error) -> RenderError {
    let line = error.line().unwrap_or(1);
    let mut what = error.kind().to_string();
    if let Some(detail) = error.detail() {
        what = format!("{what}: {detail}");
    }
    if let Some(source) = text.lines().nth(line.saturating_sub(1)) {
        what = format!("{what} in `{}`", source.trim());
    }
    RenderError::Template {
        template: name.to_owned(),
        line,
        what,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_undefined_value_is_told_with_its_line() {
        let error = render("a.yaml", "a: 1\nb: {{ nope.x }}\n", &json!({}))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a.yaml:2: undefined value"), "{error}");
        assert!(error.contains("`b: {{ nope.x }}`"), "{error}");
    }

    #[test]
    fn true_is_written_as_yaml_writes_it() {
        let text = render(
            "a",
            "{{ a }} {{ b }} {{ c }}",
            &json!({"a": true, "b": false, "c": 1}),
        );
        assert_eq!(text.unwrap(), "true false 1");
    }

    #[test]
    fn what_a_template_may_print_has_an_end() {
        let text = format!(
            "{{% for a in range(9) %}}{}{{% endfor %}}",
            "x".repeat(400_000)
        );
        let plan = Plan {
            file: foreshore_model::yaml::read("plan.yaml", "name: p\ndescription: d\n").unwrap(),
            hash: foreshore_model::Digest::of(b"p"),
            commit: None,
            templates: [("large.yaml".to_owned(), text)].into(),
        };
        let templates = Templates::of(&plan).unwrap();
        let error = templates.render("large.yaml", &json!({})).unwrap_err();
        assert!(
            matches!(&error, RenderError::TooLarge { template, .. } if template == "large.yaml"),
            "{error}"
        );
    }

    #[test]
    fn an_endless_loop_ends() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let error = render("loop.yaml", text, &json!({}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("fuel"), "{error}");
    }
}
