//! The template engine, set so that nothing undefined and nothing endless passes.

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::error::RenderError;

/// Instructions one template may take: far above any real plan, far below a second.
const FUEL: u64 = 200_000;

/// Renders one text; `name` stands in errors.
pub(crate) fn render(
    name: &str,
    text: &str,
    context: &impl Serialize,
) -> Result<String, RenderError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    let value = minijinja::Value::from(minijinja::value::Serde(context));
    environment
        .render_named_str(name, text, value)
        .map_err(|error| explain(name, text, &error))
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
    fn an_endless_loop_ends() {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        let error = render("loop.yaml", text, &json!({}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("fuel"), "{error}");
    }
}
