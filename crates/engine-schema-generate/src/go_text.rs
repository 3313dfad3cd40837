//! Finds type declarations in Go source text, line by line. It knows just the
//! shape that formatted API packages have: one field per line, tags in back
//! quotes, declarations that start in the first column.

use std::collections::BTreeMap;

use crate::go::{Declaration, GoField, GoType};

/// Returns the declarations of one file of `package`, by full name.
pub(crate) fn declarations(text: &str, package: &str) -> Vec<(String, Declaration)> {
    let file = File {
        package,
        imports: imports(text),
    };
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix("type ") else {
            continue;
        };
        let Some((name, expression)) = rest.split_once(' ') else {
            continue;
        };
        let full = file.full_name(name);
        if expression.starts_with("struct {}") || expression.starts_with("struct{}") {
            found.push((full, Declaration::Struct(Vec::new())));
        } else if expression.starts_with("struct {") {
            let fields = lines
                .by_ref()
                .take_while(|line| !line.starts_with('}'))
                .filter_map(|line| file.field(line))
                .collect();
            found.push((full, Declaration::Struct(fields)));
        } else {
            let expression = expression.trim_start_matches("= ");
            let expression = expression.split("//").next().unwrap_or_default().trim();
            if let Some(go_type) = file.parse_type(expression) {
                found.push((full, Declaration::Alias(go_type)));
            }
        }
    }
    found
}

/// Import names of a file with the package path each stands for.
fn imports(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim();
        match line {
            "import (" => inside = true,
            ")" => inside = false,
            _ => {}
        }
        let Some(line) = line
            .strip_prefix("import ")
            .or_else(|| inside.then_some(line))
        else {
            continue;
        };
        let mut quoted = line.split('"');
        let (Some(alias), Some(path)) = (quoted.next(), quoted.next()) else {
            continue;
        };
        let alias = alias.trim();
        let alias = if alias.is_empty() {
            path.rsplit('/').next().unwrap_or(path)
        } else {
            alias
        };
        found.insert(alias.to_owned(), path.to_owned());
    }
    found
}

struct File<'a> {
    package: &'a str,
    imports: BTreeMap<String, String>,
}

impl File<'_> {
    fn full_name(&self, name: &str) -> String {
        openapi_name(self.package, name)
    }

    fn field(&self, line: &str) -> Option<GoField> {
        let line = line.trim();
        if line.starts_with("//") {
            return None;
        }
        let (declaration, tags) = line.split_once('`')?;
        let tags = tags.split_once('`')?.0;
        let mut words = declaration.split_whitespace();
        let first = words.next()?;
        let expression = words.next().unwrap_or(first);
        let proto = tag(tags, "protobuf").and_then(|tag| {
            let mut parts = tag.split(',');
            Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?))
        });
        let json = tag(tags, "json").unwrap_or_default();
        let mut options = json.split(',');
        let name = options.next().unwrap_or_default();
        let options: Vec<&str> = options.collect();
        let json = match name {
            "" if options.contains(&"inline") => None,
            "" | "-" => Some("-".to_owned()),
            name => Some(name.to_owned()),
        };
        Some(GoField {
            json,
            omit_empty: options.contains(&"omitempty"),
            omit_zero: options.contains(&"omitzero"),
            proto,
            inlined: None,
            go_type: self.parse_type(expression)?,
        })
    }

    fn parse_type(&self, expression: &str) -> Option<GoType> {
        if let Some(inner) = expression.strip_prefix('*') {
            return Some(GoType::Pointer(Box::new(self.parse_type(inner)?)));
        }
        if let Some(inner) = expression.strip_prefix("[]") {
            return Some(GoType::List(Box::new(self.parse_type(inner)?)));
        }
        if let Some(inner) = expression.strip_prefix("map[") {
            let (key, value) = inner.split_once(']')?;
            return Some(GoType::Map(
                Box::new(self.parse_type(key)?),
                Box::new(self.parse_type(value)?),
            ));
        }
        if !expression
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')
            || expression.is_empty()
        {
            return None;
        }
        if let Some((alias, name)) = expression.split_once('.') {
            let package = self.imports.get(alias).map_or(alias, String::as_str);
            return Some(GoType::Named(openapi_name(package, name)));
        }
        let builtin = expression.starts_with(|c: char| c.is_ascii_lowercase());
        Some(if builtin {
            GoType::Builtin(expression.to_owned())
        } else {
            GoType::Named(self.full_name(expression))
        })
    }
}

/// Spells a Go package and type name as the OpenAPI documents do.
fn openapi_name(package: &str, name: &str) -> String {
    let rest = package
        .strip_prefix("k8s.io/")
        .map_or_else(|| package.to_owned(), |rest| format!("io.k8s.{rest}"));
    format!("{}.{name}", rest.replace('/', "."))
}

/// The value of one key of a struct tag.
fn tag<'a>(tags: &'a str, key: &str) -> Option<&'a str> {
    let start = tags.find(&format!("{key}:\""))? + key.len() + 2;
    tags[start..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "package v1\n\nimport (\n\tmetav1 \"k8s.io/apimachinery/pkg/apis/meta/v1\"\n)\n\n// Thing is.\ntype Thing struct {\n\tmetav1.TypeMeta `json:\",inline\"`\n\t// words `json`\n\tSize *int32 `json:\"size,omitempty\" protobuf:\"varint,2,opt,name=size\"`\n\tBy map[string]metav1.Time `json:\"by\" protobuf:\"bytes,3,rep,name=by\"`\n}\n\ntype Word string\n";

    #[test]
    fn fields_carry_json_name_number_and_type() {
        let found: BTreeMap<_, _> = declarations(TEXT, "k8s.io/api/apps/v1")
            .into_iter()
            .collect();
        let Some(Declaration::Struct(fields)) = found.get("io.k8s.api.apps.v1.Thing") else {
            panic!("{found:?}")
        };
        assert_eq!(fields[0].json, None);
        assert_eq!(fields[1].json.as_deref(), Some("size"));
        assert_eq!(fields[1].proto, Some(("varint".to_owned(), 2)));
        assert!(fields[1].omit_empty);
        let GoType::Map(_, value) = &fields[2].go_type else {
            panic!()
        };
        assert_eq!(
            **value,
            GoType::Named("io.k8s.apimachinery.pkg.apis.meta.v1.Time".to_owned())
        );
    }

    #[test]
    fn named_words_are_aliases() {
        let found: BTreeMap<_, _> = declarations(TEXT, "k8s.io/api/apps/v1")
            .into_iter()
            .collect();
        assert!(
            matches!(found.get("io.k8s.api.apps.v1.Word"), Some(Declaration::Alias(GoType::Builtin(word))) if word == "string")
        );
    }
}
